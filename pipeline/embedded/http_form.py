"""A request sent as a form: parameters in its fields, tables for its query alone in its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aiohttp import BodyPartReader, web

from pipeline.embedded.clickhouse_errors import refused

_MAX_FORM = 64 << 20


class Table(NamedTuple):
    """An external table: temporary, filled from `data`, gone with its request."""

    name: str
    columns: str
    format: str
    data: bytes


class Form(NamedTuple):
    """A form read whole: its fields, and its files as they came."""

    fields: dict[str, str]
    files: dict[str, bytes]

    def tables(self, parameters: Mapping[str, str]) -> list[Table]:
        """The files as tables, described by `NAME_structure` or `NAME_types`, and `NAME_format`."""
        return [
            Table(name, _columns(name, parameters), parameters.get(f"{name}_format", "TabSeparated"), data)
            for name, data in self.files.items()
        ]


async def read_form(request: web.Request) -> Form:
    """The form that a request carries, an empty one if it carries none. Raises EngineError if it is too large."""
    form = Form({}, {})
    if request.content_type != "multipart/form-data":
        return form
    left = _MAX_FORM
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise refused(36, "A form's part must be a field with a name")
            data = bytearray()
            while piece := await part.read_chunk(1 << 16):
                data += piece
                left -= len(piece)
                if left < 0:
                    raise refused(229, f"The form is larger than {_MAX_FORM} bytes")
            if part.filename is None:
                form.fields[part.name] = data.decode("utf-8", "replace")
            else:
                form.files[part.name] = bytes(data)
    except ValueError as error:
        raise refused(36, f"The form cannot be read: {error}") from None
    return form


def _columns(name: str, parameters: Mapping[str, str]) -> str:
    if structure := parameters.get(f"{name}_structure"):
        return structure
    if types := parameters.get(f"{name}_types"):
        return ", ".join(_numbered(types.split(",")))
    raise refused(36, f"The external table {name} has no {name}_structure and no {name}_types")


def _numbered(types: Iterable[str]) -> Iterable[str]:
    return (f"_{number} {kind.strip()}" for number, kind in enumerate(types, start=1))
