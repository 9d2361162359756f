"""The list of events that demand immediate response (clause 4.2), with class, priority and procedure (4.3, 4.4).

What stands on the list is the bank's decision; the law demands that there is one and names no items. The list is
data: YAML with an effective-from date, and its revision is a hash of that text, stamped on all that it decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.errors import RefusedError
from schemas.identity import short_hash
from schemas.indicator import TYPES
from schemas.text import Named, Text

EntityType = Literal["host", "user", "source"]
#: Low and informational detections never page anyone, so no claim can be made to them.
ClaimedLevel = Literal["medium", "high", "critical"]


def tag(word: str) -> str:
    """A Sigma tag as it is compared: lower case, with the hyphens of the newer spelling."""
    return word.strip().lower().replace("_", "-")


Tag = Annotated[str, BeforeValidator(lambda value: tag(value) if isinstance(value, str) else value)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)


class SourceClaim(_Frozen):
    """A log source in Sigma's words, lower case; what is left empty may be anything."""

    product: str = ""
    category: str = ""
    service: str = ""

    @model_validator(mode="after")
    def _names_something(self) -> SourceClaim:
        if not (self.product or self.category or self.service):
            raise ValueError("a source must name a product, a category or a service")
        return self


class Claim(_Frozen):
    """One condition under which a detection belongs to an item: everything that is stated must hold.

    A list is fulfilled by any of its members. A technique's tag also claims its sub-techniques.
    """

    rules: tuple[str, ...] = Field(default=(), description="ids of Sigma rules")
    tags: tuple[Tag, ...] = Field(default=(), description="Sigma tags, e.g. attack.t1003, attack.credential-access")
    not_tags: tuple[Tag, ...] = Field(default=(), description="tags that a claimed detection must not have")
    sources: tuple[SourceClaim, ...] = Field(default=(), description="log sources")
    indicators: tuple[str, ...] = Field(default=(), description="indicator types, or `any`")
    retrospective: bool | None = Field(default=None, description="true: found in the past only; false: live only")
    level: ClaimedLevel = Field(default="medium", description="least level")

    @model_validator(mode="after")
    def _states_something(self) -> Claim:
        if not (self.rules or self.tags or self.sources or self.indicators):
            raise ValueError("a claim must name rules, tags, sources or indicators")
        for name in self.indicators:
            if name not in (*TYPES, "any"):
                raise ValueError(f"{name} is no indicator type; there are any, {', '.join(TYPES)}")
        return self


class Item(_Frozen):
    """An event, or a set of events, that the response service must answer at once."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    name: Text
    description: Text
    claims: tuple[Claim, ...] = Field(min_length=1, description="any of these attributes a detection to the item")
    incident_class: str = Field(
        validation_alias="class", serialization_alias="class", description="id of one of the list's classes"
    )
    priority: int = Field(ge=1, le=4, description="1 is the most urgent")
    response_minutes: int = Field(ge=1, le=7 * 24 * 60, description="until the response must have begun")
    procedure: str = Field(description="id of one of the list's procedures")
    entities: tuple[EntityType, ...] = Field(default=("host", "user", "source"), min_length=1)
    window_seconds: int = Field(default=3600, ge=60, le=86_400, description="event time covered by one finding")
    sources: tuple[str, ...] = Field(min_length=1, description="sources of these events, for people")
    basis: str = Field(min_length=1, description="why it stands on the list: a clause, a standard, or our proposal")


class ItemFacts(_Frozen):
    """What an incident keeps of an item as it was when it decided: enough to read it years later."""

    id: str
    name: Text
    incident_class: Named = Field(validation_alias="class", serialization_alias="class")
    priority: int = Field(ge=1, le=4)
    response_minutes: int
    procedure: Named
    event_list: str = Field(description="revision of the list that decided")


class EventList(_Frozen):
    """One revision of the list. The first item that claims a detection has it, so the order of items matters."""

    revision: str
    effective_from: date
    approved_by: str = ""
    classes: tuple[Named, ...] = Field(min_length=1)
    procedures: tuple[Named, ...] = Field(min_length=1)
    hubs: tuple[str, ...] = Field(default=(), description="entities (type:value) shared by all, that connect nothing")
    items: tuple[Item, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> EventList:
        for group in ("classes", "procedures", "items"):
            ids = [entry.id for entry in getattr(self, group)]
            for place, name in enumerate(ids):
                if name in ids[:place]:
                    raise _at((group, place), f"{name} stands there twice")
        classes, procedures = {c.id for c in self.classes}, {p.id for p in self.procedures}
        for place, item in enumerate(self.items):
            if item.incident_class not in classes:
                raise _at(("items", place, "class"), f"{item.incident_class} is none of the list's classes")
            if item.procedure not in procedures:
                raise _at(("items", place, "procedure"), f"{item.procedure} is none of the list's procedures")
        return self

    @classmethod
    def parse(cls, text: str, name: str) -> EventList:
        """Read the YAML text of a list; `name` is the file for messages.

        Raises RefusedError with file, line, path and reason of every fault.
        """
        try:
            node = yaml.compose(text, Loader=yaml.CSafeLoader)
            document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 a CSafeLoader that refuses double keys
        except yaml.YAMLError as error:
            raise RefusedError(f"{name}{_where(error)}: the event list is not readable YAML.") from None
        if not isinstance(document, dict):
            raise RefusedError(f"{name}:1: the event list must be a mapping with effective_from, classes and items.")
        if "revision" in document:
            raise RefusedError(f"{name}: revision is computed from the text; remove it.")
        try:
            return cls.model_validate({**document, "revision": short_hash("event-list", text)})
        except ValidationError as error:
            faults = "; ".join(_faults(error, node, name))
            raise RefusedError(f"The event list is refused as a whole: {faults}.") from None

    def facts(self, item_id: str, level: str) -> ItemFacts:
        """What incidents keep of an item. One that the list does not hold is stated as unlisted, never dropped."""
        for item in self.items:
            if item.id == item_id:
                return ItemFacts(
                    id=item.id,
                    name=item.name,
                    incident_class=_by_id(self.classes, item.incident_class),
                    priority=item.priority,
                    response_minutes=item.response_minutes,
                    procedure=_by_id(self.procedures, item.procedure),
                    event_list=self.revision,
                )
        return _unlisted(item_id, level, self.revision)


def _at(path: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """A fault of the whole list that lies at `path`."""
    return PydanticCustomError("event_list", "{message}", {"message": message, "path": path})


def _by_id(entries: tuple[Named, ...], wanted: str) -> Named:
    return next(entry for entry in entries if entry.id == wanted)


def _unlisted(item_id: str, level: str, revision: str) -> ItemFacts:
    """An item of another revision than the one in force here: urgent by level alone, so that nobody misses it."""
    unlisted = Named(id="unlisted", name=Text(kk="Тізімде жоқ", ru="Нет в перечне", en="Not on the list"))
    return ItemFacts(
        id=item_id,
        name=unlisted.name.followed_by(item_id),
        incident_class=unlisted,
        priority={"critical": 1, "high": 2}.get(level, 3),
        response_minutes=60,
        procedure=unlisted,
        event_list=revision,
    )


class _StrictLoader(yaml.CSafeLoader):
    """YAML lets the last of two equal keys win; in a list that carries duties this would hide one of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "key stands there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _where(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f":{error.problem_mark.line + 1} ({error.problem or 'syntax'})"
    return ""


def _faults(error: ValidationError, node: yaml.Node | None, name: str) -> Iterator[str]:
    for fault in error.errors(include_input=False, include_url=False):
        path = fault["loc"] or fault.get("ctx", {}).get("path", ())
        message = fault["msg"].removeprefix("Value error, ")
        yield f"{name}:{_line(node, path)}: {'.'.join(map(str, path)) or 'list'}: {message}"


def _line(node: yaml.Node | None, path: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest node on `path` that the text holds."""
    line = 1
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                return line
            node = found[1]
            line = found[0].start_mark.line + 1
        else:
            return line
    return line
