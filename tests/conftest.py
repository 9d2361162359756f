"""Fixtures that several kinds of tests share: the embedded pair, once a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from pipeline.embedded.children import Broker, Store
from tests import embedded

# CI judges a change, so it tries the same examples each time; at a desk every run looks for new ones.
# No example has a deadline: the machine may be busy, and the first one may import a library.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text have no place in a test's name: a packed file holds the time at which it was packed."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """With QORGAN_NO_SKIP a test that did not run is a test that failed: nobody reads a summary for what is absent."""
    report = yield
    if os.environ.get("QORGAN_NO_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where everything must run: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Any:
    """The same for a module that skips itself."""
    report = yield
    if os.environ.get("QORGAN_NO_SKIP") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, where everything must run: {report.longrepr}"
    return report
