"""Fixtures that several kinds of tests share: the embedded pair, once a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.embedded.children import Broker, Store
from tests import embedded


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[Broker]:
    """One embedded broker for the whole run: use topic and group names of your own."""
    with embedded.broker() as child:
        yield child


@pytest.fixture(scope="session")
def embedded_store() -> Iterator[Store]:
    """One store for the whole run: use a database of your own."""
    with embedded.store() as child:
        yield child
