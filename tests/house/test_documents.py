"""What is written is true: rendered files match the code, links lead somewhere, commands named in documents exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from pipeline import dashboard
from pipeline.cli.main import app
from pipeline.documents import DOCUMENTS, ROOT
from pipeline.metrics import METRICS, PREFIX
from pipeline.parsers import Reader
from pipeline.settings import Settings, load

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("deploy/docs/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)?(#[^)\s]+)?\)")
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_rendered_document_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == DOCUMENTS[path](), "`make docs` renders it anew"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), f"{page.name} → {target}"
        if anchor and file.suffix == ".md":
            assert anchor[1:] in _anchors(file), f"{page.name} → {target}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_document_exists_with_its_options(page: Path) -> None:
    wrong = [line for line in _commands(page.read_text()) if not _exists(line)]
    assert wrong == []


def test_every_setting_named_in_a_document_exists() -> None:
    known = {f"QORGAN_{name.upper()}" for name in Settings.model_fields} | {"QORGAN_SETTINGS", "QORGAN_KAFKA_HOME"}
    for page in PAGES:
        named = set(re.findall(r"\bQORGAN_[A-Z_]*[A-Z]", page.read_text()))
        assert named - known <= {"QORGAN_NO_SKIP", "QORGAN_SHARED_DATA"}, page.name


def test_every_metric_is_on_the_dashboard_once() -> None:
    shown = [name for _, names in dashboard.ROWS for name in names]
    assert sorted(shown) == sorted(metric.name for metric in METRICS)


def test_every_metric_is_set_by_some_module_and_no_other_is() -> None:
    tables = ("metrics.py", "dashboard.py")
    code = "\n".join(file.read_text() for file in (ROOT / "pipeline").rglob("*.py") if file.name not in tables)
    used = set(re.findall(r'etrics\["(\w+)"\]', code))
    declared = {metric.name for metric in METRICS}
    assert used <= declared
    assert {name for name in declared if f'"{name}"' not in code} == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_names_declared_metrics_has_a_runbook_and_a_test(rule: dict[str, Any]) -> None:
    declared = {PREFIX + metric.name for metric in METRICS}
    declared |= {f"{PREFIX}{m.name}_{part}" for m in METRICS if m.kind == "histogram" for part in ("bucket", "count")}
    assert set(re.findall(r"\bqorgan_\w+", rule["expr"])) <= declared
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert anchor in _anchors(ROOT / page)
    tests = yaml.safe_load((ROOT / "deploy/prometheus/alerts_test.yml").read_text())["tests"]
    speaks = [
        case
        for test in tests
        for case in test["alert_rule_test"]
        if case["alertname"] == rule["alert"] and case["exp_alerts"]
    ]
    assert speaks, "a case in alerts_test.yml in which it speaks"
    severity = rule["labels"]["severity"]
    assert f"### {rule['alert']}\n\n*{severity}.*" in (ROOT / page).read_text()


def test_every_runbook_is_of_an_alert() -> None:
    text = (ROOT / "deploy/docs/operations.md").read_text()
    assert sorted(re.findall(r"^### (Qorgan\w+)$", text, re.MULTILINE)) == sorted(rule["alert"] for rule in RULES)


def test_the_example_settings_file_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QORGAN_SETTINGS", str(ROOT / "deploy/systemd/qorgan.toml"))
    settings = load()
    Reader(settings)
    assert settings.replication == 3


def test_the_test_of_commands_tells_right_from_wrong() -> None:
    page = """`qorgan publish a.jsonl --topic raw.events`, `qorgan nothing`, `qorgan topics drop`
```sh
QORGAN_KAFKA=host:1 qorgan publish a.jsonl --topics raw.events   # an option that is not
qorgan query "SELECT 1
              FROM events" | head
```
"""
    assert [line for line in _commands(page) if not _exists(line)] == [
        "qorgan publish a.jsonl --topics raw.events",
        "qorgan nothing",
        "qorgan topics drop",
    ]
    assert len(list(_commands(page))) == 5


def _anchors(file: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(text: str) -> Iterator[str]:
    """Calls of qorgan in code, inline and fenced, without what follows a comment, a pipe or a further command."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    # A statement in quotes may go on over lines.
    joined = re.sub(r'"([^"]*)"', lambda m: '"' + m[1].replace("\n", " ") + '"', "\n".join(fenced))
    for line in [*joined.splitlines(), *inline]:
        match = re.match(r"(?:\$ |QORGAN_\w+=\S+ )*(qorgan (?![─|]).*)", line.strip())
        if match and not match[1].startswith("qorgan ["):
            yield re.split(r" #|\s\||&&|;", match[1])[0].strip()


def _exists(line: str) -> bool:
    """Whether the words of a call are a command, and its options are that command's."""
    command: Any = get_command(app)
    options = _options(command)
    for word in shlex.split(line)[1:]:
        members = getattr(command, "commands", None)
        if word.startswith("--"):
            if word.split("=")[0] not in options:
                return False
        elif members is not None:
            if word == "..." or set(word.split("|")) <= set(members):
                if "|" in word or word == "...":
                    return True
                command = members[word]
                options = options | _options(command)
            elif "--settings" not in line:
                return False
    return True


def _options(command: Any) -> set[str]:
    return {"--help"} | {name for parameter in command.params for name in parameter.opts}
