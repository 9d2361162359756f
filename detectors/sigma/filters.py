"""Sigma filter documents: exceptions that stand apart from the rules, so that an update of these does not lose them.

A filtered rule finds an event where `(rule's condition) and (filter's condition)` holds. The specification's own
example writes `condition: selection` to suppress what the selection names; carried out as written it narrows the rule
to just that. So a filter must let pass what it does not speak of, or it is refused: with all of its selections false,
its condition must be true. Who answers for it, and until when, stands in the document's `qorgan` mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from typing import Any, Final, NamedTuple

from detectors.sigma.rule import LogSource, Node, Refusal, Rule

ANY: Final = "any"
#: Characters of an owner, a reason, an approval.
LONGEST: Final = 1_000
MAX_REFERENCES: Final = 10_000

_ACCOUNT: Final = "Say who answers for it, why, and until when: owner, reason, expires (and approval)"
_RULES: Final = "Name the rules by id or name in `filter.rules`, or write `rules: any` for all of its logsource"
_NEGATE: Final = (
    "Write `condition: not selection` to hide what the selection names; what narrows a rule belongs into the rule"
)


class FilterError(ValueError):
    """This filter or suppression cannot be carried out. `key`: the document's key that is at fault."""

    def __init__(self, key: str, reason: str, todo: str) -> None:
        super().__init__(reason)
        self.key = key
        self.todo = todo


class Account(NamedTuple):
    """Who answers for a suppression. `expires`: ISO 8601, a day or a time; from then on it is out of force."""

    owner: str
    reason: str
    expires: str
    approval: str = ""
    """Who approved it, another than its owner; '' where nobody has."""

    def until_ms(self, zone: tzinfo) -> int:
        """The first moment at which it is out of force, milliseconds UTC; a day begins in `zone`."""
        if not self.expires:
            return NEVER_MS
        if len(self.expires) <= len("2027-01-31"):
            at = datetime.combine(date.fromisoformat(self.expires), time(), zone)
        else:
            at = datetime.fromisoformat(self.expires)
            at = at if at.tzinfo else at.replace(tzinfo=zone)
        return int(at.timestamp() * 1000)


#: Of a filter as the specification knows it. A worker refuses it, who looks at files does not.
NOBODY: Final = Account("", "", "")
NEVER_MS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter document. `rules`: ids and names, or ANY alone; `line`: where its `filter` stands."""

    id: str
    title: str
    logsource: LogSource
    rules: tuple[str, ...]
    account: Account
    revision: str
    file: str
    line: int
    condition: bytes


def as_rule(document: Mapping[Any, Any]) -> dict[Any, Any]:
    """The document with its selections where a rule has them, for one reader of both. Raises FilterError."""
    said = document["filter"]
    if "detection" in document:
        raise FilterError("filter", "it is a rule and a filter at once", "Make two documents of it, with `---` between")
    if not isinstance(said, dict):
        raise FilterError("filter", "its filter is not a mapping", _RULES)
    if not isinstance(said.get("condition"), str):
        raise FilterError("filter", "its filter has no condition, or more than one", _NEGATE)
    other = {key: value for key, value in document.items() if key not in ("filter", "qorgan", "level", "status")}
    return other | {"detection": {key: value for key, value in said.items() if key != "rules"}}


def of_rule(rule: Rule, document: Mapping[Any, Any], line: int) -> Filter:
    """The filter that `document` is; `rule` is what `as_rule` of it was read as. Raises FilterError."""
    if not passes_unnamed(rule.tree):
        reason = "it inverts itself: an event that it does not speak of would be hidden, and what it names alone found"
        raise FilterError("filter", reason, _NEGATE)
    return Filter(
        id=rule.id,
        title=rule.title,
        logsource=rule.logsource,
        rules=_references(document["filter"].get("rules")),
        account=NOBODY if document.get("qorgan") is None else account(document["qorgan"], "qorgan"),
        revision=rule.revision,
        file=rule.file,
        line=line,
        condition=rule.condition,
    )


def _references(said: Any) -> tuple[str, ...]:
    names = [said] if isinstance(said, str) else said
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise FilterError("filter", "it names no rule", _RULES)
    if len(names) > MAX_REFERENCES:
        raise FilterError("filter", f"it names {len(names):,} rules; at most {MAX_REFERENCES:,} are taken", _RULES)
    kept = tuple(dict.fromkeys(name.strip() for name in names))
    if ANY in map(str.lower, kept):
        if len(kept) > 1:
            raise FilterError("filter", "it names rules beside `any`", _RULES)
        return (ANY,)
    return kept


def passes_unnamed(tree: Node) -> bool:
    """Whether the condition holds of an event in which every selection is false."""
    if tree[0] == "and":
        return all(map(passes_unnamed, tree[1:]))
    if tree[0] == "or":
        return any(map(passes_unnamed, tree[1:]))
    return tree[0] == "not" and not passes_unnamed(tree[1])


def unanswered(said: Filter) -> Refusal | None:
    """The refusal of a filter for which nobody answers, None for others."""
    if said.account != NOBODY:
        return None
    return Refusal(said.file, said.line, "nobody answers for it: owner, reason, expires missing", _ACCOUNT)


def account(said: Any, key: str) -> Account:
    """Who answers, read from a mapping that stands under `key`. Raises FilterError naming what is missing or wrong."""
    said = {} if said is None else said
    if not isinstance(said, dict):
        raise FilterError(key, f"`{key}` is not a mapping", _ACCOUNT)
    unknown = [str(name)[:80] for name in said if name not in Account._fields]
    if unknown:
        raise FilterError(key, f"`{key}` knows no {', '.join(unknown)}", _ACCOUNT)
    missing = [name for name in Account._fields if said.get(name) in (None, "") and name != "approval"]
    if missing:
        raise FilterError(key, f"nobody answers for it: {', '.join(missing)} missing", _ACCOUNT)
    owner, reason, approval = (_text(said, name, key) for name in ("owner", "reason", "approval"))
    if approval and approval.casefold() == owner.casefold():
        raise FilterError(key, f"{owner} is its owner and approved it", "Let another person approve it, or nobody yet")
    return Account(owner, reason, _moment(said["expires"], key), approval)


def _text(said: Mapping[Any, Any], name: str, key: str) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise FilterError(key, f"its {name} is not a text of at most {LONGEST:,} characters", _ACCOUNT)
    return " ".join(value.split())


def _moment(said: Any, key: str) -> str:
    """A day or a time as ISO 8601; YAML has read most of them already."""
    if isinstance(said, date):  # a datetime is one, too
        return said.isoformat()
    try:
        return (date if len(str(said)) <= len("2027-01-31") else datetime).fromisoformat(str(said)).isoformat()
    except ValueError:
        raise FilterError(key, f"expires {str(said)[:40]!r} is no date", "Write it as 2027-01-31") from None


__all__ = [
    "ANY",
    "NOBODY",
    "Account",
    "Filter",
    "FilterError",
    "account",
    "as_rule",
    "of_rule",
    "passes_unnamed",
    "unanswered",
]
