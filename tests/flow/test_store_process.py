"""The store as a process: its directory, its password, its end."""

from __future__ import annotations

import contextlib
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pipeline.embedded.children import start_store
from schemas.errors import RefusedError
from tests import embedded

pytestmark = pytest.mark.flow


def within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def insert(client: Any, token: str, rows: int) -> None:
    settings = {"insert_deduplication_token": token, "async_insert": 0}
    client.raw_insert("t", ["a"], b"".join(b"%d\n" % number for number in range(rows)), fmt="TSV", settings=settings)


def test_what_was_confirmed_survives_a_kill_and_a_token_still_counts(tmp_path: Path) -> None:
    blocks = [(f"token-{number}", 50_000) for number in range(40)]
    confirmed: list[str] = []
    with embedded.store(tmp_path) as store:
        table = (
            "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
        )
        embedded.client(store).command(table)

        def insert_until_killed() -> None:
            client = embedded.client(store)
            with contextlib.suppress(OperationalError, DatabaseError):
                for token, rows in blocks:
                    insert(client, token, rows)
                    confirmed.append(token)

        inserting = threading.Thread(target=insert_until_killed)
        inserting.start()
        assert within(20, lambda: len(confirmed) >= 3)
        store.kill()
        inserting.join(30)
        password = store.password
    with embedded.store(tmp_path) as store:
        assert store.password == password
        client = embedded.client(store)
        assert client.command("SELECT count() FROM t") >= len(confirmed) * 50_000
        for token, rows in blocks:
            insert(client, token, rows)
        assert client.query("SELECT count(), uniqExact(a) FROM t").first_row == (40 * 50_000, 50_000)


def test_a_second_process_on_the_directory_gets_a_sentence(tmp_path: Path) -> None:
    with embedded.store(tmp_path) as store:
        with pytest.raises(RefusedError, match=rf"Another store \(process {store.pid}\) has .* open"):
            start_store(tmp_path)
        assert embedded.client(store).command("SELECT 1") == 1
    with embedded.store(tmp_path):
        pass


def test_a_port_in_use_and_a_directory_that_cannot_be_are_sentences(tmp_path: Path) -> None:
    with embedded.store(tmp_path / "one") as store, pytest.raises(RefusedError, match="cannot listen on"):
        start_store(tmp_path / "two", store.port)
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="cannot use"):
        start_store(tmp_path / "file" / "inside")
    (tmp_path / "damaged" / "engine" / "status").mkdir(parents=True)
    with pytest.raises(RefusedError, match="cannot open"), start_store(tmp_path / "damaged"):
        pass


def test_the_password_is_made_for_its_owner_alone_or_read_from_a_file(tmp_path: Path) -> None:
    with embedded.store(tmp_path / "made") as store:
        file = tmp_path / "made" / "password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert len(store.password) >= 32
    own = tmp_path / "own"
    own.write_text("пароль\n")
    with start_store(tmp_path / "read", password_file=own) as store:
        assert store.password == "пароль"
        assert embedded.client(store).command("SELECT 1") == 1
        assert not (tmp_path / "read" / "password").exists()
    own.write_text("\n")
    for wrong in (own, tmp_path / "missing"):
        with pytest.raises(RefusedError, match="password file"):
            start_store(tmp_path / "read", password_file=wrong)


def test_a_stop_lets_an_insert_end_and_cancels_a_long_query_within_ten_seconds(tmp_path: Path) -> None:
    with embedded.store(tmp_path) as store:
        client = embedded.client(store)
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                client.query("SELECT count() FROM numbers(10000000000000) WHERE NOT ignore(sipHash64(number))")
            except (DatabaseError, OperationalError) as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        other = embedded.client(store)
        assert within(20, lambda: other.command("SELECT count() FROM system.processes") > 1)
        begun = time.monotonic()
        assert store.stop(15) == 0
        assert time.monotonic() - begun < 10
        asking.join(5)
        assert "394" in str(failed[0])


def test_ctrl_c_stops_it_too(tmp_path: Path) -> None:
    with embedded.store(tmp_path) as store:
        store.process.send_signal(signal.SIGINT)
        assert store.process.wait(10) == 0


def test_it_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipeline.embedded.children import start_store\n"
        "print(start_store(Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert runs(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert within(10, lambda: not runs(pid))


def test_the_client_that_leaves_in_the_middle_harms_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Half a body inserts nothing, an unread answer holds nothing, the next request is served, no trace is printed."""
    import http.client

    with embedded.store(tmp_path) as store:
        client = embedded.client(store)
        client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
        headers = {"X-ClickHouse-User": "qorgan", "X-ClickHouse-Key": store.password}
        for _ in range(20):
            half = http.client.HTTPConnection("127.0.0.1", store.port)
            half.putrequest("POST", "/?query=INSERT+INTO+t+FORMAT+TSV")
            for name, value in {**headers, "Content-Length": "1000000"}.items():
                half.putheader(name, value)
            half.endheaders(b"1\n" * 1000)
            half.close()
            unread = http.client.HTTPConnection("127.0.0.1", store.port)
            unread.request("POST", "/", b"SELECT * FROM numbers(100000000) FORMAT Native", headers)
            unread.getresponse()
            unread.close()
        assert within(20, lambda: client.command("SELECT count() FROM system.processes") == 1)
        assert client.command("SELECT count() FROM t") == 0
    assert capfd.readouterr().err == ""
