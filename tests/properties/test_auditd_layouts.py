"""An audit record read by a layout seen before is what it is when read pair by pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.parsers.auditd import _Layouts, _pairs

NAMES = ("comm", "exe", "key", "a0", "a1", "name", "pid", "old-auid", "AUID", "a1[0]", "msg", "acct", "SADDR")
QUOTED = ('"bash"', '"62617368"', '"a b"', '"a=b"', '"x"y', '"')
OTHER = ("bash", "62617368", "(null)", "", "a=b", "0x1f", "\u2028", "{ a=b }", "'op=x acct=726F6F74'", "'")
VALUES = QUOTED + OTHER
RECORDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5).map(
    lambda said: " ".join(f"{name}={value}" for name, value in said)
)


@given(st.lists(RECORDS | st.text(max_size=30), max_size=8), st.sampled_from(("SYSCALL", "EXECVE")))
def test_layouts_change_nothing(records: list[str], kind: str) -> None:
    layouts = _Layouts()
    for record in records + records:
        plain: dict[str, str] = {}
        decoded = _pairs(record, plain, kind)
        found = layouts.read(record, kind)
        assert found is None or found == (plain, decoded), record
        layouts.learn(record, kind)


def test_what_is_remembered_is_bounded() -> None:
    layouts = _Layouts()
    for number in range(2_000):
        layouts.learn(f"name{number}=1", f"TYPE{number % 300}")
    assert sum(layouts.read(f"name{number}=1", f"TYPE{number % 300}") is not None for number in range(2_000)) <= 128
