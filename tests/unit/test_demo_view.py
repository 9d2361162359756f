"""What the demonstration shows: everything a responder needs of an incident, in the language chosen."""

from __future__ import annotations

import orjson
import pytest

from pipeline.demo.account import Line
from pipeline.demo.own import topics
from pipeline.demo.view import JsonView, LiveView, PlainView, Progress, make_view
from pipeline.demo.watch import caption
from schemas.detection import Detection, FindingRef
from schemas.incident import Counts, FindingSummary, Incident
from schemas.text import Named, Text

CLASS = Named(id="intrusion", name=Text(kk="Басып кіру", ru="Вторжение", en="Intrusion"))
PROCEDURE = Named(id="srp-1", name=Text(kk="Оқшаулау", ru="Изоляция", en="Isolation"))
DETECTION = Detection(
    id="d", kind="rule", subject="r", revision="1", title="LSASS [red]opened[/red]", level="high", log="l",
    topic="raw.windows", partition=0, offset=3, time=1_795_151_220_000, kafka_time=1_795_151_220_000, raw_sha256="",
    format="evtx", entities=("host:ws-017", "user:d.omarov"),
    finding=FindingRef(id="f", item="i", entity="host:ws-017", window_start=0, event_list="e"),
)  # fmt: skip
INCIDENT = Incident(
    id="x", number="2026-000001", revision=2, title=Text(kk="тақырып", ru="заголовок", en="headline"),
    incident_class=CLASS, priority=1, severity="high", items=(), procedures=(PROCEDURE,), opened=0, respond_by=0,
    changed=0, first_event=0, last_event=0, entities=("host:ws-017",),
    findings=(FindingSummary(id="f", item="i", entity="host:ws-017", window_start=0, level="high", detections=1),),
    rules={}, levels={}, tactics=(), techniques=(), evidence=(), retrospective=False,
    counts=Counts(findings=1, detections=1, entities=1, rules=1, notices=1),
)  # fmt: skip


@pytest.mark.parametrize(("lang", "words"), [
    ("kk", ("Басып кіру", "тақырып", "Оқшаулау")),
    ("ru", ("Вторжение", "заголовок", "Изоляция")),
    ("en", ("Intrusion", "headline", "Isolation")),
])  # fmt: skip
def test_an_incident_is_shown_in_the_language_chosen(
    lang: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    PlainView(lang).incident(INCIDENT)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("2026-000001", "P1", *words))
    assert shown.count("\n") == 1


def test_a_caption_names_number_class_priority_and_procedure() -> None:
    assert caption(INCIDENT, "en") == "2026-000001, Intrusion, P1, Isolation"


def test_a_finding_is_one_plain_line_with_its_local_time(capsys: pytest.CaptureFixture[str]) -> None:
    PlainView("en").finding(DETECTION)
    shown = capsys.readouterr().out
    assert "high" in shown
    assert "20.11. 10:07:00" in shown
    assert "(host:ws-017, user:d.omarov)" in shown
    assert shown.count("\n") == 1


def test_a_failing_line_of_the_account_stands_out(capsys: pytest.CaptureFixture[str]) -> None:
    PlainView("en").account([Line("duplicates 0", True, "0"), Line("journal verified", False, "entry 3")])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "ok      duplicates 0      0",
        "FAILED  journal verified  entry 3",
    ]


def test_programs_get_one_object_a_line_and_people_get_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    view = make_view("en", as_json=True)
    assert isinstance(view, JsonView)
    view.say("hello")
    view.finding(DETECTION)
    view.incident(INCIDENT)
    view.account([Line("published", True, "3")])
    shown = capsys.readouterr()
    assert [next(iter(orjson.loads(line))) for line in shown.out.splitlines()] == ["finding", "incident", "account"]
    assert shown.err == "hello\n"


def test_the_live_view_shows_values_of_events_as_text_and_not_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView("en")
    view.progress(Progress(phase="Publishing", total=10, published=3))
    view.finding(DETECTION)
    view.incident(INCIDENT)
    view.account([Line("published", False, "[bold]")])
    shown = capsys.readouterr().out
    assert "[red]" in shown
    assert "2026-000001" in shown
    assert "FAILED" in shown
    assert "[bold]" in shown


def test_each_recording_gets_a_topic_of_its_own() -> None:
    named = topics(["a/logs one.jsonl.xz", "b/logs one.jsonl", "-"])
    assert list(named.values()) == ["raw.logs-one", "raw.logs-one-2", "raw.stdin"]
