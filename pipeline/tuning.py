"""What a site adds to rules that are the same everywhere: values for placeholders, disabled rules. Read from files.

    QORGAN_PLACEHOLDERS  file or folder   NAME.txt: one value a line; *.yml: name → values, or whence they are
    QORGAN_ASSETS        CSV              name,owner,groups,…  a placeholder may take a column of a group's assets
    QORGAN_SUPPRESSIONS  YAML             disabled: [{rule, owner, reason, expires, approval}, …]

Filters stand among the rules. A file that cannot be read is refused as a whole; an entry that is wrong, by its name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from detectors.sigma.aim import Disabled, aim
from detectors.sigma.entries import lines_of_list, mapping
from detectors.sigma.filters import ANY, Filter, FilterError, account, unanswered
from detectors.sigma.load import Loaded, unique
from detectors.sigma.placeholders import PlaceholderError, Values, awaited, effective, fill, filled_tree
from detectors.sigma.rule import LogSource, Refusal, Rule
from detectors.sigma.suppress import ANYWHERE, Suppressions
from pipeline.settings import Settings
from schemas.errors import RefusedError

MAX_BYTES: Final = 16 << 20
MAX_VALUES: Final = 100_000
#: What a cell of the asset list holds several of is written with this between.
BETWEEN: Final = ";"

_MEND: Final = "Write a list of values, or {values: […]}, or {assets: GROUP, take: COLUMN}"
_ASSET: Final = "Every asset has a name and an owner"
_ENTRY: Final = "Name the rule by id or name, and who answers for it"
_ANY: Final = "Write {rule: any, logsource: {product: …, category: …}}, and events: {service: …} for one provider alone"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A name and its values; who answers for them, where that is said."""

    name: str
    values: tuple[str, ...]
    file: str
    line: int = 0
    owner: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """All that a site has said."""

    placeholders: Mapping[str, Placeholder]
    disabled: tuple[Disabled, ...] = ()
    not_disabled: tuple[Refusal, ...] = ()
    """Entries of disabled rules that are refused."""
    refused: tuple[Refusal, ...] = ()
    """Placeholders and assets that are."""
    unanswered: bool = False
    """Filters for which nobody answers apply too: for who looks at files, and hides nothing from anybody."""


NO_TUNING: Final = Tuning({})


def read_tuning(settings: Settings) -> Tuning:
    """Read what the settings name. Raises RefusedError for a file that cannot be read."""
    refused: list[Refusal] = []
    assets = _assets(settings.assets, refused) if settings.assets else []
    placeholders: dict[str, Placeholder] = {}
    for made in _placeholders(settings.placeholders, assets, refused) if settings.placeholders else ():
        first = placeholders.setdefault(made.name, made)
        if first is not made:
            reason = f"the placeholder %{made.name}% has values in {first.file} already"
            refused.append(Refusal(made.file, made.line, reason, "Give each name its values once"))
    not_disabled: list[Refusal] = []
    disabled = _disabled(settings.suppressions, not_disabled) if settings.suppressions else []
    return Tuning(placeholders, tuple(disabled), tuple(not_disabled), tuple(refused))


class Change(NamedTuple):
    """A placeholder, and the ids of the rules in force that hold its values."""

    placeholder: Placeholder
    rules: tuple[str, ...]


class Tuned(NamedTuple):
    """Rules as they are in force at this site, what suppresses and what changes them, and all that is refused."""

    rules: list[Rule]
    suppressions: Suppressions
    changes: tuple[Change, ...]
    refused: tuple[Refusal, ...]


def tune(files: Sequence[Loaded], tuning: Tuning, zone: tzinfo) -> Tuned:
    """Fill placeholders, aim filters and disablings, and give every rule the revision of what it then is."""
    values = {name: each.values for name, each in tuning.placeholders.items()}
    found: list[Rule] = []
    refused: list[Refusal] = []
    for file in files:
        filled, unfilled = fill(file.waiting, values)
        found += [*file.rules, *filled]
        refused += [*file.refused, *unfilled]
    rules, doubles = unique(found)
    filters, unfilled = _filled_filters(files, values)
    correlations = {name for file in files for name in file.correlation_names}
    nobodys = [] if tuning.unanswered else [refusal for said in filters if (refusal := unanswered(said))]
    filters = [said for said in filters if tuning.unanswered or not unanswered(said)]
    aimed, astray = aim(filters, tuning.disabled, rules, correlations, zone)
    not_applied = [
        *(bad for file in files for bad in file.refused_filters),
        *nobodys,
        *unfilled,
        *astray,
        *tuning.not_disabled,
    ]
    suppressions = Suppressions(aimed, rules, zone, not_applied)
    return Tuned(
        [suppressions.effective(rule) for rule in rules],
        suppressions,
        _changes(files, tuning, {rule.id for rule in rules}),
        (*refused, *doubles, *tuning.refused, *not_applied),
    )


def _filled_filters(files: Sequence[Loaded], values: Values) -> tuple[list[Filter], list[Refusal]]:
    filters, refused = [], []
    for said in (said for file in files for said in file.filters):
        tree = orjson.loads(said.condition)
        names = awaited(tree)
        try:
            condition = orjson.dumps(filled_tree(tree, values)) if names else said.condition
        except PlaceholderError as error:
            refused.append(Refusal(said.file, said.line, str(error), "Give it values in QORGAN_PLACEHOLDERS"))
            continue
        filters.append(replace(said, condition=condition, revision=effective(said.revision, names, values)))
    return filters, refused


def _changes(files: Sequence[Loaded], tuning: Tuning, in_force: set[str]) -> tuple[Change, ...]:
    used: dict[str, list[str]] = {}
    for rule in (rule for file in files for rule, _ in file.waiting if rule.id in in_force):
        for name in awaited(rule.tree):
            used.setdefault(name, []).append(rule.id)
    return tuple(Change(tuning.placeholders[name], tuple(ids)) for name, ids in sorted(used.items()) if ids)


def _read(path: Path, setting: str) -> bytes:
    """A file's bytes. Raises RefusedError naming the setting; a pipe or device is none."""
    try:
        if not path.is_file():
            raise RefusedError(f"{path} is no file. Check {setting}.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}). Check {setting}.") from None
    if len(data) > MAX_BYTES:
        raise RefusedError(f"{path} has more than {MAX_BYTES >> 20} MB. Split it ({setting}).")
    return data


def _text(path: Path, setting: str) -> str:
    try:
        return _read(path, setting).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedError(f"{path} is not UTF-8. Check {setting}.") from None


def _placeholders(path: Path, assets: Sequence[_Asset], refused: list[Refusal]) -> Iterator[Placeholder]:
    if not path.exists():
        raise RefusedError(f"The placeholders {path} do not exist. Check QORGAN_PLACEHOLDERS.")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".txt":
            lines = (line.strip() for line in _text(file, "QORGAN_PLACEHOLDERS").splitlines())
            said: Any = [line for line in lines if line and not line.startswith("#")]
            yield from _one(file, file.stem, said, 0, assets, refused)
        elif file.suffix in (".yml", ".yaml"):
            for name, (said, line) in mapping(str(file), _read(file, "QORGAN_PLACEHOLDERS")).items():
                yield from _one(file, name.strip("%"), said, line, assets, refused)
        elif not path.is_dir():
            raise RefusedError(f"{path} is neither .txt nor .yml. Check QORGAN_PLACEHOLDERS.")


def _one(
    file: Path, name: str, said: Any, line: int, assets: Sequence[_Asset], refused: list[Refusal]
) -> Iterator[Placeholder]:
    about = said if isinstance(said, dict) else {"values": said}
    try:
        values = _values(about, assets)
    except ValueError as error:
        refused.append(Refusal(str(file), line, f"the placeholder %{name[:80]}% {error}", _MEND))
        return
    owner, reason = (str(about.get(key) or "") for key in ("owner", "reason"))
    yield Placeholder(name, values, str(file), line, owner, reason)


def _values(about: Mapping[str, Any], assets: Sequence[_Asset]) -> tuple[str, ...]:
    """The values of one placeholder. Raises ValueError with what is wrong, to follow its name."""
    unknown = [str(key) for key in about if key not in ("values", "assets", "take", "owner", "reason")]
    if unknown:
        raise ValueError(f"knows no {', '.join(unknown)[:80]}")
    if ("values" in about) == ("assets" in about):
        raise ValueError("needs values or assets, one of both")
    if "assets" in about:
        group, column = str(about["assets"]), str(about.get("take") or "name")
        found = [value for asset in assets if group in asset["groups"] for value in asset.get(column, ())]
        # Names and addresses are what they are: a star in one is no wildcard.
        said: Any = [value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?") for value in found]
        if not said:
            raise ValueError(f"finds no {column!r} of assets in the group {group!r} (QORGAN_ASSETS)")
    else:
        said = about["values"]
    said = said if isinstance(said, list) else [said]
    if not all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in said):
        raise ValueError("has a value that is neither a text nor a number")
    values = tuple(dict.fromkeys(str(value) for value in said if str(value).strip()))
    if not values or len(values) > MAX_VALUES:
        raise ValueError(f"has {len(values):,} values; 1 to {MAX_VALUES:,} are taken")
    return values


_Asset = Mapping[str, Sequence[str]]
"""Column → values of one asset."""


def _assets(path: Path, refused: list[Refusal]) -> list[_Asset]:
    rows = csv.DictReader(_text(path, "QORGAN_ASSETS").splitlines(), restkey="", restval="", strict=True)
    found: list[_Asset] = []
    try:
        missing = {"name", "owner", "groups"} - {(name or "").strip().lower() for name in rows.fieldnames or ()}
        if missing:
            raise RefusedError(f"{path}: its first line names no {', '.join(sorted(missing))}. Check QORGAN_ASSETS.")
        for row in rows:
            asset = {(key or "").strip().lower(): _cell(cell) for key, cell in row.items()}
            if not asset["name"] or not asset["owner"]:
                refused.append(Refusal(str(path), rows.line_num, "an asset without a name or an owner", _ASSET))
            else:
                found.append(asset)
    except csv.Error as error:
        raise RefusedError(f"{path}:{rows.line_num}: not CSV ({error}). Check QORGAN_ASSETS.") from None
    return found


def _cell(cell: str | Iterable[str]) -> tuple[str, ...]:
    """The values of a cell; what stands behind the last column is none."""
    return tuple(part.strip() for part in cell.split(BETWEEN) if part.strip()) if isinstance(cell, str) else ()


def _disabled(path: Path, refused: list[Refusal]) -> list[Disabled]:
    data = _read(path, "QORGAN_SUPPRESSIONS")
    said = mapping(str(path), data)
    unknown = [key[:80] for key in said if key != "disabled"]
    entries = said.get("disabled", ([], 0))[0] or []
    if unknown or not isinstance(entries, list):
        what = f"it knows no {', '.join(unknown)}" if unknown else "`disabled` is not a list"
        raise RefusedError(f"{path}: {what}. Write a list `disabled` of rules (QORGAN_SUPPRESSIONS).")
    found = []
    for entry, line in zip(entries, lines_of_list(data, "disabled"), strict=True):
        try:
            found.append(_entry(entry, str(path), line))
        except FilterError as error:
            refused.append(Refusal(str(path), line, str(error), error.todo))
    return found


def _entry(entry: Any, file: str, line: int) -> Disabled:
    """One disabling. Raises FilterError."""
    if not isinstance(entry, dict) or not isinstance(entry.get("rule"), str) or not entry["rule"].strip():
        raise FilterError("disabled", "an entry of `disabled` names no rule", _ENTRY)
    rule = entry["rule"].strip()
    rule = ANY if rule.lower() == ANY else rule
    answers = {key: value for key, value in entry.items() if key not in ("rule", "logsource", "events")}
    try:
        events = _source(entry.get("events"), "events")
        logsource = _whole(rule, _source(entry.get("logsource"), "logsource"))
        return Disabled(rule, account(answers, "disabled"), file, line, logsource, events)
    except FilterError as error:
        raise FilterError(error.key, f"{rule[:80]} is not disabled: {error}", error.todo) from None


def _whole(rule: str, logsource: LogSource) -> LogSource:
    if (rule == ANY) != (logsource != ANYWHERE):
        raise FilterError("disabled", "`rule: any` and `logsource` go together", _ANY)
    return logsource


def _source(said: Any, key: str) -> LogSource:
    if said is None:
        return ANYWHERE
    if not isinstance(said, dict) or not said or not set(said) <= set(LogSource._fields):
        raise FilterError("disabled", f"`{key}` is not product, category, service", _ANY)
    return LogSource(**{name: str(value).strip().lower() for name, value in said.items()})


__all__ = ["NO_TUNING", "Change", "Placeholder", "Tuned", "Tuning", "read_tuning", "tune"]
