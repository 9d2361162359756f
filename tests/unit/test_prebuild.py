"""Changed rules are first read in a process of its own: it fills the cache, says what is refused, and has its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipeline.prebuild import prebuild
from pipeline.rules import load_rules
from schemas.errors import RefusedError
from tests.sigma import rule_text


def test_what_it_has_read_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = tmp_path / "rule.yml"
    rule.write_bytes(rule_text({"s": {"F": "a"}, "condition": "s"}))
    monkeypatch.setenv("QORGAN_RULES", str(rule))
    monkeypatch.setenv("QORGAN_STATE_DIR", str(tmp_path / "state"))
    asyncio.run(prebuild())
    assert load_rules([rule], tmp_path / "state" / "cache").from_cache


def test_what_it_refuses_is_said_in_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QORGAN_RULES", str(tmp_path / "none"))
    with pytest.raises(RefusedError, match=r"none do not exist\. Name a file or folder"):
        asyncio.run(prebuild())


def test_one_that_takes_too_long_is_ended_and_refused() -> None:
    with pytest.raises(RefusedError, match=r"takes more than 0 s"):
        asyncio.run(prebuild(seconds=0.01))
