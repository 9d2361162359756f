"""`qorgan bench detect --peer BINARY`: another engine beside ours, over the same events, rules and core.

The peer is rsigma (its command `engine eval`). It is told each event's log source in three added fields, since it has
no table from channels and event ids to Sigma's words: with its routing it is three times as fast as without.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from detectors.sigma.channels import WINDOWS_SERVICES
from detectors.sigma.providers import WINDOWS_CATEGORIES
from schemas.errors import QorganError, RefusedError
from schemas.event import Event, Source

LIMIT_S: Final = 900.0
_FIELDS: Final = ("product", "service", "category")
_ROUTED: Final = ("--logsource-routing", "--logsource-field-map", ",".join(f"{f}=qorgan_{f}" for f in _FIELDS))


def measure(binary: Path, rules: Sequence[Path], events: Sequence[Event]) -> tuple[dict[str, Any], Counter[str]]:
    """The peer's figures and how often it found each rule. Raises QorganError when it fails.

    Its time for one event (loading of rules) is taken from that for all; both by the processor's time, on one core.
    """
    if len(rules) != 1:
        raise RefusedError("--peer takes one --rules: the peer reads one folder.")
    with tempfile.TemporaryDirectory(prefix="qorgan-peer-") as folder:
        lines = [hinted(event) for event in events]
        loading, _ = _run(binary, rules[0], Path(folder), lines[:1])
        whole, found = _run(binary, rules[0], Path(folder), lines)
    spent = max(whole - loading, 1e-9)
    return {"peer_load_s": round(loading, 2), "peer_events_per_s": round((len(lines) - 1) / spent)}, found


def hinted(event: Event) -> bytes:
    """The event's JSON object with its log source in Sigma's words behind its own fields."""
    raw = event.raw.rstrip()
    added = {f"qorgan_{name}": value for name, value in said(event.source).items()}
    return raw[:-1] + b"," + orjson.dumps(added)[1:] if added and raw.endswith(b"}") else raw


def said(source: Source) -> dict[str, str]:
    """A source in Sigma's words. Of several categories none is named: to name one denies all others."""
    category, service = _words().get((source.service, source.event_id), "other"), _words().get((source.service, -1))
    words = {"product": source.product, "service": service, "category": category}
    return {name: word for name, word in words.items() if word}


@cache
def _words() -> Mapping[tuple[str, int], str]:
    """(channel, event id) → category, (channel, -1) → service; '' where it has several names."""
    found: dict[tuple[str, int], set[str]] = {}
    for category, places in WINDOWS_CATEGORIES.items():
        for place in places:
            for number in place.event_ids:
                found.setdefault((place.service, number), set()).add(category)
    for service, channels in WINDOWS_SERVICES.items():
        for channel in channels:
            found.setdefault((channel, -1), set()).add(service)
    return {key: next(iter(names)) if len(names) == 1 else "" for key, names in found.items()}


def _run(binary: Path, rules: Path, folder: Path, lines: Iterable[bytes]) -> tuple[float, Counter[str]]:
    """Seconds of processor time, and rule id → how often it was found."""
    events, answers = folder / "events.ndjson", folder / "found.ndjson"
    events.write_bytes(b"\n".join(lines) + b"\n")
    command = [str(binary), "--output-format", "ndjson", "--no-stats", "engine", "eval", "-r", str(rules)]
    command += ["-e", f"@{events}", "--input-format", "json", *_ROUTED]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        with answers.open("wb") as out:
            done = subprocess.run(  # noqa: S603 - named by who measures
                command, stdout=out, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False, preexec_fn=_on_one_core
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QorganError(f"The peer {binary} could not be run ({type(error).__name__}).") from None
    if done.returncode not in (0, 1):
        raise QorganError(f"The peer {binary} ended with code {done.returncode}: {done.stderr[-300:].decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with answers.open("rb") as lines_found:
        found = Counter(str(orjson.loads(line).get("rule_id", "")).lower() for line in lines_found if line.strip())
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found


def _on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
