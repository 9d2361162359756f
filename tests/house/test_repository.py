"""The house's own rules, where no linter knows them: reasons, sizes, names, who reads the environment, clean locks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline import topics
from pipeline.documents import ROOT
from pipeline.settings import load

PACKAGES = ("pipeline", "detectors", "enrichers", "sinks", "schemas")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES = 400
# In pieces, so that this file does not hold what it forbids.
FORBIDDEN = re.compile(
    "|".join(
        (
            "/" + r"work/",
            r"\." + "library",
            "/" + r"root/(?!\.ssh/)",
            "index" + "-url",
            r"https?://\S*(?:/" + "simple|/" + r"packages/|/mav" + "en2)",
            r"\bC" + r"EO\b",
        )
    )
)
NO_SUBJECT = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def tracked() -> list[Path]:
    """Files of the repository, or of a copy without git all that it holds."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_the_repository_speaks_of_the_project_alone() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in tracked()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("file", MODULES + TESTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_opens_with_its_reason(file: Path) -> None:
    text = file.read_text()
    assert ast.get_docstring(ast.parse(text)) or (file.name == "__init__.py" and not text.strip())


def test_a_module_can_be_read_in_one_sitting() -> None:
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_modules_are_named_by_their_subject() -> None:
    assert [str(file) for file in MODULES if file.stem in NO_SUBJECT or file.parent.name in NO_SUBJECT] == []


def test_only_the_settings_read_our_environment() -> None:
    """Who hands it on to a child does not read it; JAVA_HOME and its like are not ours."""
    reads = re.compile(r'(?:getenv\(|environ\.get\(|environ\[|environ\.setdefault\()\s*f?"QORGAN_')
    found = [str(file.relative_to(ROOT)) for file in MODULES if reads.search(file.read_text())]
    assert found == ["pipeline/settings.py"]


def test_imports_point_one_way() -> None:
    script = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(script), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_locks_hold_what_the_project_asks_for_in_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run, dev = (_pinned(ROOT / name) for name in ("requirements.lock", "requirements-dev.lock"))
    extras = project["optional-dependencies"]
    assert {_name(asked) for asked in (*project["dependencies"], *extras["build"])} <= run.keys()
    assert {_name(asked) for asked in extras["dev"]} <= dev.keys()
    assert run.items() <= dev.items()


def test_the_wheel_holds_every_package_and_the_topics() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(PACKAGES)
    assert wheel["force-include"] == {"deploy/kafka/topics.yml": "pipeline/topics.yml"}


def test_the_topics_of_the_file_are_those_that_the_code_uses() -> None:
    declared = set(yaml.safe_load((ROOT / "deploy/kafka/topics.yml").read_text())["topics"])
    code = "\n".join(file.read_text() for file in MODULES)
    assert [name for name in declared if f'"{name}"' not in code] == []
    assert {topic.name for topic in topics.wanted(load(raw_topics=("raw.a",)))} == declared | {"raw.a"}


def test_retention_of_proof_is_five_years_at_least() -> None:
    """Clauses 10 and 14: what says what happened is kept; no file of ours may ask for less."""
    for topic in topics.wanted(load()):
        if topic.name in ("incidents", "journal"):
            kept = int(topic.config["retention.ms"])
            assert kept == -1 or kept >= 5 * 366 * 86_400_000, topic.name


def _pinned(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)(?![^\n]*python_full_version)", lock.read_text(), re.MULTILINE))


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=~! ;\[]", requirement)[0]).lower()
