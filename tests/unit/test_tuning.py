"""The files of a site: placeholders' values, the asset list, disabled rules; and what is refused of them by name."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from detectors.sigma.filters import Account
from detectors.sigma.rule import LogSource
from pipeline.rules import check_rules, load_rules
from pipeline.settings import load
from pipeline.tuning import Tuning, read_tuning
from schemas.errors import RefusedError
from tests.sigma import event, rule_text
from tests.tuning import FILTER_ID, RULE_ID, filter_text

ASSETS = """name,owner,groups,address,account
dc01,Infrastructure,DomainControllers; Servers,10.1.0.5;10.1.0.6,DC01$
dc*2,Infrastructure,DomainControllers,10.1.0.7,
web1,Web team,Servers,10.2.0.1,
"""


def read(tmp_path: Path, **files: str) -> Tuning:
    """What the settings of these names read from files of these texts."""
    named = {}
    for setting, text in files.items():
        named[setting] = tmp_path / f"{setting}.{'csv' if setting == 'assets' else 'yml'}"
        named[setting].write_text(text)
    return read_tuning(load(**named))


def values(tuning: Tuning) -> dict[str, tuple[str, ...]]:
    return {name: each.values for name, each in tuning.placeholders.items()}


def test_without_settings_there_is_nothing() -> None:
    assert read_tuning(load()) == Tuning({})


def test_placeholders_are_lists_in_yaml_or_lines_of_a_text_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "placeholders"
    folder.mkdir()
    (folder / "admins.txt").write_text("# those of the domain\nann\n\n  bob \nann\n")
    (folder / "others.yml").write_text("DC-NAME: [dc1$, dc2$]\n'%port%': 3389\n")
    (folder / "notes.md").write_text("no values")
    made = read_tuning(load(placeholders=folder))
    assert values(made) == {"admins": ("ann", "bob"), "DC-NAME": ("dc1$", "dc2$"), "port": ("3389",)}
    assert made.refused == ()


def test_a_placeholder_may_say_who_answers_for_it(tmp_path: Path) -> None:
    said = "admins: {owner: IAM, reason: monthly review, values: [ann]}\n"
    made = read(tmp_path, placeholders=said).placeholders["admins"]
    assert (made.values, made.owner, made.reason, made.line) == (("ann",), "IAM", "monthly review", 1)


def test_a_placeholder_takes_a_column_of_a_groups_assets_and_a_star_in_it_is_no_wildcard(tmp_path: Path) -> None:
    said = """
dcs: {assets: DomainControllers}
dc_ip_addresses: {assets: DomainControllers, take: address}
dc_machine_accounts: {assets: DomainControllers, take: account}
"""
    assert values(read(tmp_path, placeholders=said, assets=ASSETS)) == {
        "dcs": ("dc01", "dc\\*2"),
        "dc_ip_addresses": ("10.1.0.5", "10.1.0.6", "10.1.0.7"),
        "dc_machine_accounts": ("DC01$",),
    }


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("the placeholder %x% has 0 values", "x: []"),
        ("the placeholder %x% has 0 values", "x: ['', ' ']"),
        ("the placeholder %x% has a value that is neither a text nor a number", "x: [[a]]"),
        ("the placeholder %x% has a value that is neither a text nor a number", "x:"),
        ("the placeholder %x% has a value that is neither a text nor a number", "x: [yes]"),
        ("the placeholder %x% needs values or assets, one of both", "x: {owner: a}"),
        ("the placeholder %x% needs values or assets, one of both", "x: {values: [a], assets: b}"),
        ("the placeholder %x% knows no value", "x: {value: [a]}"),
        ("finds no 'name' of assets in the group 'nosuch'", "x: {assets: nosuch}"),
        ("finds no 'shoe' of assets in the group 'Servers'", "x: {assets: Servers, take: shoe}"),
    ],
)
def test_a_placeholder_that_says_nothing_is_refused_by_name_and_line(tmp_path: Path, sentence: str, said: str) -> None:
    made = read(tmp_path, placeholders=f"good: [a]\n{said}\n", assets=ASSETS)
    assert list(made.placeholders) == ["good"]
    (refusal,) = made.refused
    assert (Path(refusal.file).name, refusal.line) == ("placeholders.yml", 2)
    assert sentence in refusal.reason


def test_a_name_with_values_in_two_files_is_refused_and_the_first_stands(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\n")
    (tmp_path / "y.yml").write_text("x: [b]\n")
    made = read_tuning(load(placeholders=tmp_path))
    assert values(made) == {"x": ("a",)}
    assert "%x% has values in" in made.refused[0].reason


def test_an_asset_without_owner_is_refused_by_its_line_and_the_others_count(tmp_path: Path) -> None:
    made = read(tmp_path, assets="name,owner,groups\na,,G\nb,Team,G\n", placeholders="x: {assets: G}")
    assert values(made) == {"x": ("b",)}
    assert [(refusal.line, refusal.reason) for refusal in made.refused] == [(2, "an asset without a name or an owner")]


@pytest.mark.parametrize(
    ("sentence", "files"),
    [
        ("its first line names no groups, owner", {"assets": "name,address\n"}),
        ("not CSV", {"assets": 'name,owner,groups\n"a" b,c,d\n'}),
        ("placeholders.yml:2: not YAML", {"placeholders": "x: ["}),
        ("one mapping is expected", {"placeholders": "- a\n- b\n"}),
        ("suppressions.yml:3: not YAML", {"suppressions": "disabled:\n- ["}),
        ("it knows no filters", {"suppressions": "filters: []\n"}),
        ("`disabled` is not a list", {"suppressions": "disabled: {a: b}\n"}),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(tmp_path: Path, sentence: str, files: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match=sentence):
        read(tmp_path, **files)


@pytest.mark.parametrize("setting", ["placeholders", "assets", "suppressions"])
def test_a_file_that_is_not_there_is_refused_by_its_setting(tmp_path: Path, setting: str) -> None:
    with pytest.raises(RefusedError, match=f"QORGAN_{setting.upper()}"):
        read_tuning(load(**{setting: tmp_path / "nowhere.yml"}))


def test_disabled_rules_are_read_with_who_answers_for_them(tmp_path: Path) -> None:
    text = f"""
disabled:
  - rule: {RULE_ID}
    owner: SOC
    reason: replaced by our own
    expires: 2027-01-31
    approval: Head of SOC
"""
    made = read(tmp_path, suppressions=text)
    (one,) = made.disabled
    assert (one.rule, one.line) == (RULE_ID, 3)
    assert one.account == Account("SOC", "replaced by our own", "2027-01-31", "Head of SOC")
    assert made.not_disabled == ()


def test_a_mapping_is_disabled_by_log_source_and_the_source_of_the_events(tmp_path: Path) -> None:
    what = "rule: any, logsource: {product: windows, category: process_creation}, events: {service: Security}"
    made = read(tmp_path, suppressions=f"disabled:\n- {{{what}, owner: a, reason: b, expires: 2027-01-31}}\n")
    (one,) = made.disabled
    assert (one.rule, one.logsource) == ("any", LogSource("windows", "process_creation"))
    assert one.events == LogSource(service="security")


@pytest.mark.parametrize(
    ("sentence", "entry"),
    [
        ("names no rule", "{owner: a, reason: b, expires: 2027-01-31}"),
        ("names no rule", "just a text"),
        ("r is not disabled: nobody answers for it: owner, reason, expires missing", "{rule: r}"),
        ("nobody answers for it: expires missing", "{rule: r, owner: a, reason: b}"),
        ("knows no until", "{rule: r, owner: a, reason: b, expires: 2027-01-31, until: x}"),
        ("`rule: any` and `logsource` go together", "{rule: any}"),
        ("`rule: any` and `logsource` go together", "{rule: r, logsource: {product: x}}"),
        ("`events` is not product, category, service", "{rule: r, events: {channel: x}}"),
        ("`events` is not product, category, service", "{rule: r, events: {}}"),
    ],
)
def test_an_entry_for_which_nobody_answers_is_refused_by_its_line(tmp_path: Path, sentence: str, entry: str) -> None:
    good = "{rule: x, owner: a, reason: b, expires: 2027-01-31}"
    made = read(tmp_path, suppressions=f"disabled:\n- {good}\n- {entry}\n")
    assert [one.rule for one in made.disabled] == ["x"]
    (refusal,) = made.not_disabled
    assert refusal.line == 3
    assert sentence in refusal.reason


def test_an_explosion_of_aliases_is_refused_in_bounded_time(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in pairwise("abcdefgh")
    )
    started = time.monotonic()
    with pytest.raises(RefusedError, match="nodes"):
        read(tmp_path, placeholders=bomb)
    assert time.monotonic() - started < 5


def test_filters_and_placeholders_come_from_the_cache_as_from_the_files(tmp_path: Path) -> None:
    folder, cache = tmp_path / "rules", tmp_path / "cache"
    folder.mkdir()
    (folder / "rule.yml").write_bytes(rule_text({"s": {"F|expand": "%x%"}, "condition": "s"}))
    (folder / "filter.yml").write_bytes(filter_text())
    (folder / "bad.yml").write_bytes(filter_text(qorgan=None))
    tuning = read(tmp_path, placeholders="x: [a]")
    first, second = (check_rules([folder], cache, tuning=tuning) for _ in range(2))
    assert (first.from_cache, second.from_cache) == (False, True)
    for loaded in (first, second):
        assert [suppression.id for suppression in loaded.suppressions.all] == [FILTER_ID]
        assert len(loaded.suppressions.refused) == len(loaded.refused) == 1
        assert len(loaded.engine.match([event({"F": "a"})])) == 1
    assert first.revision == second.revision
    assert first.suppressions.all == second.suppressions.all
    assert first.changes == second.changes


def test_refused_filters_do_not_take_the_rules_with_them(tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_bytes(rule_text({"s": {"F": "a"}, "condition": "s"}))
    for number in range(3):
        (tmp_path / f"filter{number}.yml").write_bytes(filter_text(qorgan=None))
    loaded = load_rules([tmp_path])
    assert (len(loaded.rules), len(loaded.refused)) == (1, 3)


def test_other_values_change_the_revision_of_the_set_and_the_cache_still_serves(tmp_path: Path) -> None:
    folder, cache = tmp_path / "rules", tmp_path / "cache"
    folder.mkdir()
    (folder / "rule.yml").write_bytes(rule_text({"s": {"F|expand": "%x%"}, "condition": "s"}))
    one = load_rules([folder], cache, tuning=read(tmp_path, placeholders="x: [a]"))
    two = load_rules([folder], cache, tuning=read(tmp_path, placeholders="x: [b]"))
    assert two.from_cache
    assert one.revision != two.revision
    assert [len(two.engine.match([event({"F": value})])) for value in "ab"] == [0, 1]
