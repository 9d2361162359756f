"""The file of feeds is checked whole at start: every fault is named at once, and no secret is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.feeds import load_feeds
from pipeline.settings import Settings
from schemas.errors import RefusedError
from schemas.feed import FeedSettings

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "feeds.md"


def load(tmp_path: Path, text: str) -> tuple[FeedSettings, ...]:
    path = tmp_path / "feeds.yml"
    path.write_text(text)
    return load_feeds(Settings(feeds=path))


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(RefusedError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_no_file_is_no_feeds() -> None:
    assert load_feeds(Settings()) == ()


def test_the_examples_of_the_page_load_as_they_stand(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    feeds = load(tmp_path, example)
    assert {feed.kind for feed in feeds} == {"taxii", "misp", "csv", "list", "files"}
    by_name = {feed.name: feed for feed in feeds}
    assert by_name["sectoral-centre"].authority == "sectoral"
    assert by_name["control-servers"].reading().columns == {"first_seen": 1, "value": 3, "type": 4, "title": 6}
    assert by_name["bulletins"].defaults.tlp == "amber+strict", "our own start"


def test_paths_are_as_seen_from_the_file(tmp_path: Path) -> None:
    (feed,) = load(tmp_path, "feeds: [{name: a, kind: csv, path: x.csv, secret_file: /s}]")
    assert (feed.path, feed.secret_file) == (tmp_path / "x.csv", Path("/s"))


GOOD = {"name": "a", "kind": "csv", "url": "https://feeds.example/x"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "A b"}, "name"),
        ({"kind": "rss"}, "kind"),
        ({"url": ""}, "either url or path"),
        ({"path": "x"}, "either url or path"),
        ({"kind": "taxii", "url": "", "path": "x"}, "taxii needs a url"),
        ({"url": "ftp://feeds.example/x"}, "https://host/path"),
        ({"url": "https://bank:hidden@feeds.example/x"}, "no secret in the url"),
        ({"url": "http://feeds.example/x", "secret_file": "s"}, "not sent in the open"),
        ({"colour": 1}, "colour"),
        ({"columns": {"value": 0}}, "columns"),
        ({"columns": {"worth": 1}}, "columns"),
        ({"defaults": {"level": "huge"}}, "defaults.level"),
        ({"interval": 1}, "interval"),
        ({"limits": {"bytes": 0}}, "limits.bytes"),
        ({"floor": 2}, "floor"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    said = refusal(tmp_path, yaml.safe_dump({"feeds": [{**GOOD, **change}]}))
    assert why in said
    assert "hidden" not in said
    load(tmp_path, yaml.safe_dump({"feeds": [GOOD]}))


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, yaml.safe_dump({"feeds": [{**GOOD, "kind": "x"}, {**GOOD, "name": "b", "floor": 9}]}))
    assert "feeds.0.kind" in said
    assert "feeds.1.floor" in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("feeds: [", "no YAML in line 1"),
        ("7", "feeds"),
        ("", "feeds"),
        ("feeds: [{name: a, kind: csv, path: x}, {name: a, kind: list, path: y}]", "two feeds are called a"),
        ("feeds: [" * 2_000, "no YAML"),
        ("x: !!python/object:os.system {}", "no YAML"),
    ],
)
def test_what_is_no_list_of_feeds_is_refused(tmp_path: Path, text: str, why: str) -> None:
    assert why in refusal(tmp_path, text)


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"none\.yml cannot be read"):
        load_feeds(Settings(feeds=tmp_path / "none.yml"))
    assert "larger than" in refusal(tmp_path, "#" * (1 << 20) + "\n")
