"""No match is lost in Kazakh and Russian, in capitals or small letters, however a shipper writes its JSON.

Not only is the engine equal to plain evaluation: a rule about a piece of a value must find the value, whatever the
case of either, on the engine and on the path that `qorgan detect` takes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.sigma.fields import fold
from detectors.triage.attribution import Attribution
from pipeline import offline
from pipeline.cli import main
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.recordings import Lines
from pipeline.settings import load as load_settings
from tests.sigma import WRITERS, event, pairs, plain_pairs, rule, rule_text

WORDS = (
    "төлем тапсырмасы", "ҚАЗАҚСТАН ХАЛЫҚ БАНКІ", "Ғалымжан Әбілқасымұлы", "құпиясөз", "Үкімет", "Әкімші",
    "Жаңа пайдаланушы", "Іске қосу", "Һ ескі әріп", "Администратор домена", "Объект удалён", "ЁЛКА ещё",
    "Счёт № 40817810", "касса", "Платёжное поручение", "C:\\Users\\Ғалым\\Жүктеулер\\есеп.exe", "\\\\сервер\\Бөлім$",
    "d'Артаньян & \"Ко\" <b>", "банк/филиал/Өскемен", "İ ı ſ \u212a", "KASSA касса 1e3", "a\tб\nв",
)  # fmt: skip
CASES = (str, str.upper, str.lower, str.title, str.swapcase, fold)
EXAMPLES = int(os.environ.get("QORGAN_EXAMPLES", "25"))
SECURITY = {"EventTime": "2026-01-20T13:19:31.123Z", "Channel": "Security", "Hostname": "ws-1", "EventID": 4688}

SETTINGS, ATTRIBUTION = load_settings(), Attribution(load_event_list(None))

lenient = settings(max_examples=EXAMPLES, deadline=None)


def _same(text: str, other: str) -> bool:
    return fold(text) == fold(other)


@st.composite
def finds(draw: st.DrawFn) -> tuple[Any, str]:
    """A selection, and a value that it must find."""
    text = " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)))
    value = draw(st.sampled_from([case(text) for case in CASES if _same(case(text), text)]))
    start = draw(st.integers(0, len(text) - 1))
    piece = text[start : draw(st.integers(start + 1, len(text)))]
    piece = draw(st.sampled_from([case(piece) for case in CASES if _same(case(piece), piece)]))
    whole = draw(st.sampled_from([case(text) for case in CASES if _same(case(text), text)]))
    escaped = re.sub(r"([\\*?])", r"\\\1", piece)
    kinds: list[Any] = [
        {"CommandLine|contains": escaped},
        {"CommandLine|contains": [escaped, "no such text"]},
        {"CommandLine": re.sub(r"([\\*?])", r"\\\1", whole)},
        {"CommandLine|re|i": re.escape(piece)},
        {"CommandLine|contains|all": [escaped, ""]},
        {"CommandLine|contains|cased": re.sub(r"([\\*?])", r"\\\1", value[1:])}
        if len(value) > 1
        else {"EventID": 4688},
    ]
    if piece.strip():
        kinds.append([escaped])
    return draw(st.sampled_from(kinds)), value


@lenient
@given(st.lists(finds(), min_size=1, max_size=4))
def test_a_rule_finds_its_value_in_whatever_case_and_writing(made: list[tuple[Any, str]]) -> None:
    engine = Engine([_rule(selection, number) for number, (selection, _) in enumerate(made)])
    for number, (_, value) in enumerate(made):
        raws = [write({**SECURITY, "CommandLine": value}) for write in WRITERS.values()]
        events = [event(orjson.loads(raw), raw=raw) for raw in raws]
        found = pairs(engine, events)
        assert found == plain_pairs(engine, events)
        assert {place for place, id_ in found if id_ == _id(number)} == set(range(len(events)))


@lenient
@given(st.lists(finds(), min_size=1, max_size=4))
def test_offline_detection_finds_the_same(made: list[tuple[Any, str]]) -> None:
    engine = Engine([_rule(selection, number) for number, (selection, _) in enumerate(made)])
    decide = DetectionSet(engine, IndicatorIndex([]), ATTRIBUTION)
    judge = offline.Judge(SETTINGS, decide, "raw.test")
    for number, (_, value) in enumerate(made):
        lines = [write({**SECURITY, "CommandLine": value}) for write in WRITERS.values()]
        judged = judge("test.jsonl", Lines(range(1, len(lines) + 1), lines), 0)
        found = {row["line"] for row in judged.detections if row["rule_id"] == _id(number)}
        assert found == set(range(1, len(lines) + 1))


def test_the_command_finds_each_writing_of_a_kazakh_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "CACHE", tmp_path / "cache")
    (tmp_path / "rule.yml").write_bytes(
        rule_text({"s": {"CommandLine|contains": "ТӨЛЕМ/тапсырмасы <Әкімші>"}, "condition": "s"})
    )
    doc = {**SECURITY, "CommandLine": "жаңа төлем/ТАПСЫРМАСЫ <әкімші>"}
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(write(doc) for write in WRITERS.values()))
    with pytest.raises(SystemExit):
        main.app(["detect", str(tmp_path / "lines.jsonl"), "--rules", str(tmp_path / "rule.yml"), "--json"])
    found = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["line"] for row in found] == [1, 2, 3, 4, 5]


def _id(number: int) -> str:
    return f"3f2a0f3e-3c0b-4f7e-9a55-0b6f0a9a1d{number:02}"


def _rule(selection: Any, number: int) -> Any:
    return rule({"s": selection, "condition": "s"}, id=_id(number))
