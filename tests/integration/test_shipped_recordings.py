"""The rules we ship over thirteen recordings of real attacks with their noise: no more than what is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.correlated import Gathered
from pipeline.rules import load_rules
from tests.integration.test_sigma_recordings import read, recordings

pytestmark = [pytest.mark.shared, pytest.mark.timeout(120)]

#: Rule → records; each was looked at. The cleared logs that most recordings begin with are the recorder's own doing.
FOUND = {
    "audit_policy_weakened": 63,
    "credentials_dumped": 6,
    "event_log_cleared": 6,
    "lsass_memory_opened": 4,
    "remote_execution_tool": 2,
    "security_log_cleared": 3,
    "service_runs_command": 1,
}

#: What correlations tell: (rule, recording, first line).
CORRELATED = [
    ("account_for_a_day", "empire_wmic_add_user_backdoor", 781),
    ("remote_control_then_dump", "rdp_interactive_taskmanager_lsass_dump", 536),
]


def test_the_recorded_attacks_are_found_and_their_noise_is_left_alone() -> None:
    """61,445 events of 13 recordings: rules about things that did not happen there find nothing."""
    loaded = load_rules((), zone=ZoneInfo("Asia/Almaty"))
    gathered = Gathered(loaded.correlations)
    seen, found = 0, Counter[str]()
    for name, lines in recordings():
        events = read(lines)
        seen += len(events)
        matches = loaded.engine.match(events)
        gathered.take(name, events, matches)
        told = [match.rule for match in matches if match.rule.id not in loaded.correlations.silent]
        found.update(Path(rule.file).stem for rule in told)
    assert (seen, found) == (61_445, FOUND)
    episodes = [(Path(one.correlation.file).stem, one.file, one.line + 1) for one in gathered.told()]
    assert sorted(episodes) == CORRELATED
