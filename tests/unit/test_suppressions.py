"""What suppressions hide is counted and shown within bounds; an expired one is said aloud, once."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from detectors.sigma.aim import Disabled
from detectors.sigma.filters import Account
from detectors.sigma.suppress import Suppressions
from pipeline.agents.raw_to_detections import RawToDetections
from pipeline.contributing import Contributing
from pipeline.detecting import Hidden
from pipeline.metrics import Metrics
from pipeline.parsers import Reader
from pipeline.settings import Settings, load
from pipeline.suppressions import SAMPLES, HiddenTally, Report
from pipeline.tuning import Tuning
from schemas.identity import Origin
from tests.builders import batch_of
from tests.fakes_transport import FakeLogs
from tests.sigma import rule_text
from tests.tuning import FILTER_ID, RULE_ID, deciding, filter_text, tuned

RULE = rule_text({"s": {"F": "a"}, "condition": "s"})
DAY_MS = 86_400_000


def hidden(offset: int, rule: str = "r", suppression: str = "s") -> Hidden:
    return Hidden(rule, suppression, Origin("log", "raw", 0, offset), offset)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"qorgan_{name}", labels) or 0.0


def expiring(*days: int) -> Suppressions:
    """Suppressions of rules that expire so many days after 1970-01-01."""
    texts, off = [], []
    for number, day in enumerate(days):
        id_ = f"00000000-0000-4000-8000-{number:012}"
        texts.append(rule_text({"s": {"F": "a"}, "condition": "s"}, id=id_))
        off.append(Disabled(id_, Account("SOC", "noise", f"1970-01-{day + 1:02}"), "off.yml", number))
    return tuned(*texts, tuning=Tuning({}, tuple(off))).suppressions


def test_all_are_counted_and_the_first_few_of_each_suppression_are_samples() -> None:
    tally = HiddenTally()
    samples = [one for start in range(0, 100, 4) for one in tally.add([hidden(start + more) for more in range(4)])]
    samples += tally.add([hidden(1, rule="other"), hidden(2, suppression="t")])
    assert [one.origin.offset for one in samples] == [*range(SAMPLES), 2]
    assert tally.of("s") == {"r": 100, "other": 1}
    assert tally.of("t") == {"r": 1}


def test_a_batch_is_one_increment_and_its_samples_are_logged_by_identity() -> None:
    metrics = Metrics()
    with capture_logs() as logged:
        Report(metrics).hidden([hidden(number) for number in range(30)])
    assert value(metrics, "suppressed_total", rule="r", suppression="s") == 30
    assert [entry["offset"] for entry in logged] == list(range(SAMPLES))
    assert set(logged[0]) == {
        "event", "log_level", "suppression", "rule", "time", "log", "topic", "partition", "offset"
    }  # fmt: skip


def test_an_expired_suppression_is_said_once_with_its_owner_and_stays_in_the_metric() -> None:
    metrics, suppressions = Metrics(), expiring(1, 5)
    report = Report(metrics)
    with capture_logs() as logged:
        for day in (0, 1, 1.5, 2, 3):
            report.look(suppressions, day * DAY_MS)
    assert [(entry["log_level"], entry["owner"], entry["expires"]) for entry in logged] == [
        ("warning", "SOC", "1970-01-02")
    ]
    assert value(metrics, "suppressions", state="expired") == 1
    assert value(metrics, "suppressions", state="in_force") == 1


def test_a_new_set_is_looked_at_at_once_and_the_same_expiry_is_not_said_again() -> None:
    metrics = Metrics()
    report = Report(metrics)
    with capture_logs() as logged:
        report.look(expiring(1), 2 * DAY_MS)
        report.look(expiring(1, 3), 2 * DAY_MS)
    assert len(logged) == 1
    assert value(metrics, "suppressions", state="in_force") == 1


class Storing:
    async def room(self) -> None: ...

    def offer(self, *_: Any) -> None: ...


class Delivery:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, topic: str, records: Any) -> None:
        self.sent += [topic] * len(records)


async def test_ingest_counts_what_is_hidden_and_delivers_what_is_not() -> None:
    metrics, delivery = Metrics(), Delivery()
    decide = deciding(tuned(RULE, filter_text(qorgan={"owner": "a", "reason": "b", "expires": "2030-01-01"})))
    reader = Reader(load())
    contributing = Contributing(Settings(), FakeLogs({}), delivery, metrics)
    agent = RawToDetections(reader, decide, Storing(), delivery, metrics, contributing)  # type: ignore[arg-type] - fakes
    lines = [b'{"Channel": "Application", "EventID": 7, "F": "a", "User": "%s"}' % user for user in (b"adm_x", b"x")]
    with capture_logs() as logged:
        await agent.handle(batch_of(*lines * 300), lambda: None)
        await agent.drain()
    assert delivery.sent == ["detections"] * 300
    assert value(metrics, "suppressed_total", rule=RULE_ID, suppression=FILTER_ID) == 300
    assert len([entry for entry in logged if entry["suppression"] == FILTER_ID]) == SAMPLES
    assert "adm_x" not in str(logged)
    agent.look(4e12)
    assert value(metrics, "suppressions", state="expired") == 1
