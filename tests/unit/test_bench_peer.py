"""Another engine measured beside ours: what it is told of an event, and what is made of its answers."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline.bench.peer import hinted, measure, said
from schemas.errors import QorganError, RefusedError
from schemas.event import Source
from tests.sigma import PROCESS, SYSMON, event

#: Answers once for each event that holds `evil`, in some of the processor's time for each.
PEER = """#!/bin/sh
for word in "$@"; do case "$word" in @*) file="${word#@}";; esac; done
grep -c . "$file" > /dev/null
grep evil "$file" | while read -r _; do echo '{"rule_id": "R1"}'; done
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PROCESS, {"product": "windows", "service": "sysmon", "category": "process_creation"}),
        (Source("windows", "", "security", 4624), {"product": "windows", "service": "security", "category": "other"}),
        (Source("windows", "", SYSMON, 12), {"product": "windows", "service": "sysmon"}),
    ],
)
def test_a_source_is_told_in_sigmas_words_and_of_several_categories_none(source: Source, words: dict[str, str]) -> None:
    assert said(source) == words


def test_the_words_stand_behind_the_events_own_fields() -> None:
    told = orjson.loads(hinted(event({"a": 1}, PROCESS)))
    assert list(told) == ["a", "qorgan_product", "qorgan_service", "qorgan_category"]


def test_its_findings_are_counted_and_its_failure_is_a_sentence(tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text(PEER)
    peer.chmod(0o755)
    events = [event({"CommandLine": "evil" if number % 3 == 0 else "good"}, PROCESS) for number in range(30)]
    figures, found = measure(peer, [tmp_path], events)
    assert found == {"r1": 10}
    assert figures["peer_events_per_s"] > 0
    with pytest.raises(RefusedError, match="one --rules"):
        measure(peer, [], events)
    peer.write_text("#!/bin/sh\necho no such rules >&2\nexit 3\n")
    with pytest.raises(QorganError, match="code 3: no such rules"):
        measure(peer, [tmp_path], events)
