"""What agents read from: Faust topics of record batches, or of single records as bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust


class BatchSchema(faust.Schema):  # type: ignore[misc] # Faust publishes no types
    """Passes a batch through: there is nothing to decode, so no decode error to acknowledge by mistake."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, None, message)

        return decode


def batches(app: Any, *topics: str) -> Any:
    """The Faust topic whose events are RecordBatches of these topics. The app's driver must be "batch"."""
    return app.topic(*topics, schema=BatchSchema(), acks=True, internal=False)


def records(app: Any, *topics: str) -> Any:
    """The Faust topic whose events are the records of these topics, key and value as bytes. For driver "stock"."""
    return app.topic(
        *topics,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        acks=True,
        internal=False,
    )
