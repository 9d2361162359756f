"""How far each rule has come: test → shadow → production. Said in a file of its own, never in the rule.

    default: production
    stages:                       # the first entry that fits a rule counts
      - stage: test
        folders: [rules/drafts]   # relative to this file
      - stage: shadow
        statuses: [experimental]
        tags: [attack.t1059]
        rules: [5f2f1a52-8a1c-4d0e-9d0a-6a4dbb2b8f0e]

A rule in *test* is loaded and checked, and evaluated by `rules test` and `detect --stage test` alone. One in *shadow*
detects, is stored and counted, and pages nobody. A rule's revision does not depend on its stage: what shadow has shown
is true of the very rule that goes to production.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import RefusedError

Stage = Literal["test", "shadow", "production"]
#: In the order in which a rule goes through them.
STAGES: Final[tuple[Stage, ...]] = ("test", "shadow", "production")
MAX_BYTES: Final = 1 << 20


class Staged(Protocol):
    """What has a stage: a rule or a correlation."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def tags(self) -> Iterable[str]: ...
    @property
    def file(self) -> str: ...


_S = TypeVar("_S", bound=Staged)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Entry(_Frozen):
    """Rules and their stage. A rule is meant when any of what is named fits it."""

    stage: Stage
    rules: frozenset[str] = Field(default=frozenset(), description="ids")
    tags: frozenset[str] = frozenset()
    statuses: frozenset[str] = Field(default=frozenset(), description="Sigma's `status`")
    folders: tuple[Path, ...] = Field(default=(), description="rules below them; relative to the file of stages")

    @model_validator(mode="after")
    def _names_something(self) -> Entry:
        if not (self.rules or self.tags or self.statuses or self.folders):
            raise ValueError("name rules, tags, statuses or folders")
        return self

    def fits(self, rule: Staged) -> bool:
        """Whether it speaks of this rule."""
        return (
            rule.id in self.rules
            or rule.status in self.statuses
            or not self.tags.isdisjoint(rule.tags)
            or any(folder in Path(rule.file).absolute().parents for folder in self.folders)
        )


class Stages(_Frozen):
    """The stage of every rule."""

    default: Stage = "production"
    stages: tuple[Entry, ...] = ()

    def of(self, rule: Staged) -> Stage:
        """The stage of a rule: that of the first entry that fits, else the default."""
        return next((entry.stage for entry in self.stages if entry.fits(rule)), self.default)

    def kept(self, rules: Iterable[_S], least: Stage) -> list[_S]:
        """The rules that have come so far at least."""
        wanted = STAGES[STAGES.index(least) :]
        return [rule for rule in rules if self.of(rule) in wanted]

    def shadow(self, rules: Iterable[Staged]) -> frozenset[str]:
        """Ids of the rules that detect and page nobody: those in shadow, and in test where these are evaluated."""
        return frozenset(rule.id for rule in rules if self.of(rule) != "production")

    def unknown(self, rules: Iterable[Staged]) -> list[str]:
        """Ids that it names and no rule has: of a rule taken away, or misspelt."""
        known = {rule.id for rule in rules}
        return sorted({wanted for entry in self.stages for wanted in entry.rules} - known)


def load_stages(path: Path | None) -> Stages:
    """The stages of a file; without one every rule is in production. Raises RefusedError."""
    if path is None:
        return Stages()
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text[:MAX_BYTES]) or {}
        stages = Stages.model_validate(document)
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"The stages {path} cannot be read ({error}). Check QORGAN_STAGES.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise RefusedError(f"{where}: the stages are not readable YAML. Mend the file (QORGAN_STAGES).") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise RefusedError(f"{path}: the stages are refused: {faults}.") from None
    return stages.model_copy(update={"stages": tuple(_placed(entry, path) for entry in stages.stages)})


def _placed(entry: Entry, file: Path) -> Entry:
    """The entry as rules are compared with it: ids, tags and statuses in lower case, folders by their whole path."""
    return entry.model_copy(
        update={
            "rules": frozenset(word.strip().lower() for word in entry.rules),
            "tags": frozenset(word.strip().lower() for word in entry.tags),
            "statuses": frozenset(word.strip().lower() for word in entry.statuses),
            "folders": tuple((file.absolute().parent / folder).resolve() for folder in entry.folders),
        }
    )
