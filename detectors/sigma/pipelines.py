"""pySigma's processing pipelines, as far as they map names of fields; whatever else stands in one is refused by name.

    transformations:
      - type: field_name_mapping
        mapping: {Image: process.executable, User: [user.name, user.domain]}
        rule_conditions: [{type: logsource, product: windows}]

A pipeline may be anybody's: size, nesting and aliases are bounded before it is read.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RefusedError
from schemas.field_mapping import FieldMapping, MappingItem
from schemas.identity import short_hash

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 20
MAX_NAMES: Final = 10_000

_Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Condition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["logsource"]
    product: str = ""
    category: str = ""
    service: str = ""


class _Transformation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["field_name_mapping"]
    mapping: Annotated[dict[_Name, _Name | Annotated[tuple[_Name, ...], Field(min_length=1)]], Field(min_length=1)]
    rule_conditions: tuple[_Condition, ...] = ()
    rule_cond_op: Literal["and", "or"] = "and"
    id: str = ""


class _Pipeline(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    priority: int = 0
    allowed_backends: tuple[str, ...] = ()
    transformations: Annotated[tuple[_Transformation, ...], Field(min_length=1)]


def shipped() -> tuple[str, ...]:
    """The names of the mappings that come with us."""
    folder = resources.files("detectors.sigma").joinpath("mappings")
    return tuple(sorted(entry.name.removesuffix(".yml") for entry in folder.iterdir() if entry.name.endswith(".yml")))


@cache
def ours(name: str) -> FieldMapping:
    """A mapping that comes with us. Raises RefusedError for a name that is none."""
    if name not in shipped():
        raise RefusedError(f"There is no mapping {name!r}; there are {', '.join(shipped())}, or name a file (*.yml).")
    return read(name, resources.files("detectors.sigma").joinpath("mappings", f"{name}.yml").read_bytes())


def read(name: str, data: bytes) -> FieldMapping:
    """A pipeline's text as a mapping. Raises RefusedError that says which part is no mapping of names."""
    document = _document(name, data)
    _refuse_others(name, document)
    try:
        pipeline = _Pipeline.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise RefusedError(f"The mapping {name} is wrong at {where or 'its top'}: {fault['msg']}. Mend it.") from None
    if sum(len(each.mapping) for each in pipeline.transformations) > MAX_NAMES:
        raise RefusedError(f"The mapping {name} maps more than {MAX_NAMES:,} fields. Name those that rules use.")
    items = tuple(_item(each) for each in pipeline.transformations if not _never(each))
    return FieldMapping(name, short_hash("mapping", data.hex()), items)


def _document(name: str, data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise RefusedError(f"The mapping {name} has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    try:
        text = data.decode("utf-8-sig")
        depth = 0
        for event in yaml.parse(text, yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                raise RefusedError(f"The mapping {name} nests too deeply or holds a YAML alias: write it out.")
        return yaml.load(text, yaml.CSafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        said = str(getattr(error, "problem", None) or "it is no UTF-8 text of YAML")
        raise RefusedError(f"The mapping {name} cannot be read: {said[:200]}. Mend its YAML.") from None


#: Parts of a pipeline that change more than names, when they hold anything.
_OTHER: Final = ("postprocessing", "finalizers")


def _refuse_others(name: str, document: Any) -> None:
    """Say by name what a pipeline does beside mapping names: without it a rule would mean another thing."""
    if not isinstance(document, dict) or not isinstance(document.get("transformations"), list):
        raise RefusedError(f"The mapping {name} holds no list `transformations`: it is no pySigma pipeline.")
    for part in _OTHER:
        if document.get(part):
            raise RefusedError(
                f"The mapping {name} holds `{part}`; only field_name_mapping is carried out. Take it out."
            )
        document.pop(part, None)
    for at, step in enumerate(document["transformations"], 1):
        kind = step.get("type") if isinstance(step, dict) else None
        if kind != "field_name_mapping":
            raise RefusedError(
                f"The mapping {name}: transformation {at} is {str(kind)[:60]!r}; only field_name_mapping is carried "
                "out. Take it out, or map in the shipper."
            )
        conditions = step.get("rule_conditions") or []
        kinds = [each.get("type") if isinstance(each, dict) else None for each in conditions]
        if bad := next((each for each in kinds if each != "logsource"), ""):
            raise RefusedError(
                f"The mapping {name}: transformation {at} has the condition {str(bad)[:60]!r}; only logsource is known."
            )


def _item(step: _Transformation) -> MappingItem:
    names = tuple(
        (field, (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))) for field, to in step.mapping.items()
    )
    patterns = tuple(
        (each.product.lower(), each.category.lower(), each.service.lower()) for each in step.rule_conditions
    )
    if step.rule_cond_op == "and" and patterns:
        patterns = (_joined(patterns),)
    return MappingItem(names, patterns)


def _joined(patterns: tuple[tuple[str, str, str], ...]) -> tuple[str, str, str]:
    product, category, service = (max(words) for words in zip(*patterns, strict=True))
    return product, category, service


def _never(step: _Transformation) -> bool:
    """Whether its conditions exclude one another, so that no rule meets all."""
    if step.rule_cond_op == "or":
        return False
    sides = zip(*((each.product, each.category, each.service) for each in step.rule_conditions), strict=True)
    return any(len({word.lower() for word in side if word}) > 1 for side in sides)
