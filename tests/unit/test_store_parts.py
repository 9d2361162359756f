"""What the store decides without its engine: where a body waits, how much waits at once, what a request says."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from pipeline.embedded import spooled as spooling
from pipeline.embedded.clickhouse_errors import EngineError, as_text, from_engine
from pipeline.embedded.http_call import read_call
from pipeline.embedded.http_handler import InFlight
from pipeline.embedded.spooled import spooled


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_data_are_found_whole_under_a_path_that_leaves_nothing(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling, "_IN_MEMORY", 2 << 20)  # the largest of the sizes goes to the disk
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with spooled(io.BytesIO(data), tmp_path) as path:
        assert path.read_bytes() == data
        assert list(tmp_path.iterdir()) == []
    assert not path.exists()


async def test_bodies_beyond_the_bound_wait_for_those_before_them() -> None:
    in_flight = InFlight(100)
    entered: list[str] = []
    leave = asyncio.Event()

    async def hold(name: str, size: int) -> None:
        async with in_flight.share(size):
            entered.append(name)
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        for name, size in (("first", 60), ("second", 30), ("third", 30), ("larger than all", 1000)):
            tasks.create_task(hold(name, size))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert entered == ["first", "second"]
        leave.set()
    assert sorted(entered) == ["first", "larger than all", "second", "third"]


def test_an_exceptions_code_is_found_once_whatever_wraps_it() -> None:
    wrapped = (
        "Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown. (UNKNOWN_FORMAT) (version 1.2). (UNKNOWN_FORMAT)"
    )
    error = from_engine(RuntimeError(wrapped))
    assert (error.code, error.status) == (73, 404)
    assert as_text(error, "1.2") == "Code: 73. DB::Exception: Unknown. (UNKNOWN_FORMAT) (version 1.2)\n"
    assert from_engine(RuntimeError("std::bad_alloc")).code == 1001
    unreadable = UnicodeDecodeError(
        "utf-8", b"Code: 27. DB::Exception: before '\xff'. (X)", 33, 34, "invalid start byte"
    )
    assert from_engine(unreadable).code == 27


def test_a_request_is_settings_bound_values_and_the_interfaces_own() -> None:
    parameters = {
        "query": "SELECT 1",
        "param_x": "1",
        "max_threads": "2",
        "date_time_output_format": "iso",
        "query_id": "q",
    }
    call = read_call("GET", {}, parameters)
    assert call.settings == {"max_threads": "2", "date_time_output_format": "iso"}
    assert call.bound == {"x": "1"}
    assert call.reads_only
    for wrong in ({"a b": "1"}, {"compress": "1"}, {"session_timeout": "0"}, {"x=1, readonly": "0"}):
        with pytest.raises(EngineError):
            read_call("POST", {}, wrong)
