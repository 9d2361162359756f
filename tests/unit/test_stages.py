"""test → shadow → production: who says so, what is evaluated where, and that shadow pages nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.detecting import DetectionSet
from pipeline.loading import load
from pipeline.rules import check_rules
from pipeline.settings import load as load_settings
from pipeline.stages import Stages, load_stages
from schemas.errors import RefusedError
from schemas.event import Source
from tests.sigma import SYSMON, event, rule_text

GOOD = {"s": {"F": "a"}, "condition": "s"}
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(4)]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Four rules: a plain one, an experimental one, a tagged one, and one in a folder."""
    folder = tmp_path / "rules"
    (folder / "drafts").mkdir(parents=True)
    source = {"product": "windows", "service": "sysmon"}
    also = [{}, {"status": "experimental"}, {"tags": ["attack.t1059", "attack.execution"]}, {}]
    for number, more in enumerate(also):
        place = folder / "drafts" if number == 3 else folder
        text = rule_text(GOOD, id=IDS[number], logsource=source, **more)
        (place / f"rule{number}.yml").write_bytes(text)
    return folder


def staged(folder: Path, text: str) -> Stages:
    file = folder.parent / "stages.yml"
    file.write_text(text)
    return load_stages(file)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("statuses: [experimental]", 1),
        ("tags: [Attack.T1059]", 2),
        ("folders: [rules/drafts]", 3),
        (f"rules: [{IDS[0].upper()}]", 0),
    ],
)
def test_an_entry_means_rules_by_id_tag_status_or_folder(rules: Path, said: str, number: int) -> None:
    stages = staged(rules, f"stages:\n  - stage: shadow\n    {said}\n")
    assert stages.shadow(check_rules([rules]).rules) == {IDS[number]}


def test_the_first_entry_that_fits_counts_and_the_default_takes_the_rest(rules: Path) -> None:
    stages = staged(
        rules,
        "default: test\nstages:\n  - {stage: production, tags: [attack.t1059]}\n"
        "  - {stage: shadow, statuses: [experimental], tags: [attack.execution]}\n",
    )
    said = {rule.id: stages.of(rule) for rule in check_rules([rules]).rules}
    assert [said[name] for name in IDS] == ["test", "shadow", "production", "test"]


def test_without_a_file_every_rule_is_in_production(rules: Path) -> None:
    assert load_stages(None).shadow(check_rules([rules]).rules) == frozenset()


def test_ids_of_no_rule_are_named(rules: Path) -> None:
    stages = staged(rules, f"stages:\n  - {{stage: test, rules: [{IDS[0]}, 11111111-0000-4000-8000-000000000000]}}\n")
    assert stages.unknown(check_rules([rules]).rules) == ["11111111-0000-4000-8000-000000000000"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: [", r"stages.yml:\d+: the stages are not readable YAML"),
        ("stages: [{stage: live, rules: [a]}]", r"stages.0.stage: Input should be 'test', 'shadow' or 'production'"),
        ("stages: [{stage: test}]", "name rules, tags, statuses or folders"),
        ("stage: test", "Extra inputs are not permitted"),
        ("- 1", "the stages are refused"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused_with_the_place(rules: Path, text: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        staged(rules, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="QORGAN_STAGES"):
        load_stages(tmp_path / "none.yml")


def test_a_rule_in_test_is_not_evaluated_unless_asked_and_one_in_shadow_belongs_to_no_finding(
    rules: Path, tmp_path: Path
) -> None:
    staged(
        rules,
        f"stages:\n  - {{stage: test, rules: [{IDS[1]}]}}\n  - {{stage: shadow, rules: [{IDS[2]}]}}\n",
    )
    settings = load_settings(rules=(rules,), stages=tmp_path / "stages.yml", state_dir=tmp_path / "state")
    sent = [event({"F": "a", "Channel": SYSMON}, Source("windows", "", SYSMON, 1))]

    def found(decide: DetectionSet) -> dict[str, tuple[str, bool]]:
        made = decide.detect("log0", "raw", 0, sent)
        return {one.subject: (one.stage, one.finding is not None) for one in made}

    usual = found(load(settings).decide)
    assert usual.keys() == {IDS[0], IDS[2], IDS[3]}
    assert usual[IDS[2]] == ("shadow", False)
    assert usual[IDS[0]][0] == "production"
    assert found(load(settings, "test").decide).keys() == set(IDS)
    assert found(load(settings, "test").decide)[IDS[1]] == ("shadow", False)
    assert found(load(settings, "production").decide).keys() == {IDS[0], IDS[3]}


def test_a_shadow_rule_is_claimed_by_no_item_though_its_twin_in_production_is(rules: Path, tmp_path: Path) -> None:
    (rules / "rule0.yml").write_bytes(
        rule_text(
            GOOD,
            id=IDS[0],
            logsource={"product": "windows", "service": "sysmon"},
            tags=["attack.credential-access", "attack.t1003.001"],
            level="critical",
        )
    )
    sent = [event({"F": "a"}, Source("windows", "", SYSMON, 1))]
    staged(rules, f"stages: [{{stage: shadow, rules: [{IDS[0]}]}}]")
    findings = []
    for stages in (None, tmp_path / "stages.yml"):
        settings = load_settings(rules=(rules / "rule0.yml",), stages=stages, state_dir=tmp_path / "state")
        decide = load(settings).decide
        (made,) = decide.detect("log0", "raw", 0, sent)
        findings.append((made.finding is None, made.revision, decide.revision))
    (paged, revision, whole), (silent, same, other) = findings
    assert (paged, silent) == (False, True)
    assert revision == same, "a rule's stage is no part of its revision"
    assert whole != other, "but of what the set decides"
