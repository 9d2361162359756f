"""JSON in the Elastic Common Schema: the log source told by `event.category`, the fields found by the mapping `ecs`.

What ECS says of the operating system and of the kind of event is Sigma's product and category; what it does not say
comes from the topic's settings. The fields keep their nesting.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.sigma.fields import pick
from detectors.sigma.pipelines import ours
from pipeline.parsers.plain_json import plain_json
from pipeline.parsers.shape import Topic, source
from schemas.event import Event, Format, Source

ECS = Format("ecs", "json", mapping=ours("ecs"))

#: (category, type) of ECS → Sigma's category; an empty type stands for any other.
CATEGORIES: Final = {
    ("process", "start"): "process_creation",
    ("process", "end"): "process_termination",
    ("network", "start"): "network_connection",
    ("network", "connection"): "network_connection",
    ("file", "creation"): "file_event",
    ("file", "deletion"): "file_delete",
    ("file", "change"): "file_change",
    ("registry", "change"): "registry_set",
    ("registry", "creation"): "registry_add",
    ("registry", "deletion"): "registry_delete",
    ("library", ""): "image_load",
    ("driver", ""): "driver_load",
    ("web", ""): "proxy",
}
PRODUCTS: Final = frozenset({"windows", "linux", "macos"})


def is_ecs(doc: dict[str, Any]) -> bool:
    """It names the schema, or an event's kind or category in its words, and is none of Winlogbeat's."""
    if "winlog" in doc or "winlog.channel" in doc:
        return False
    if isinstance(doc.get("ecs"), dict) or "ecs.version" in doc:
        return True
    event = doc.get("event")
    said = isinstance(event, dict) and ("category" in event or "kind" in event)
    return (said or "event.category" in doc) and "@timestamp" in doc


def ecs(doc: dict[str, Any], raw: bytes, near: int, topic: Topic) -> Event:
    """One record; columns are found as in any other JSON."""
    event = plain_json(doc, raw, near, topic)
    event.format = ECS
    event.source = _source(doc, topic.source)
    return event


def _source(doc: dict[str, Any], told: Source) -> Source:
    dataset = pick(doc, "event.dataset")
    if isinstance(dataset, str):
        head, _, tail = dataset.partition(".")
        if head in ("zeek", "aws") and tail:
            return source(head, "", tail)
    system = pick(doc, "host.os.type") or pick(doc, "host.os.family")
    known = system.lower() if isinstance(system, str) else ""
    product = known if known in PRODUCTS else told.product
    category = _category(_list(pick(doc, "event.category")), _list(pick(doc, "event.type")))
    if not category and isinstance(pick(doc, "dns.question"), dict):
        category = "dns_query" if product == "windows" else "dns"
    if category == "proxy":
        product = ""
    return source(product, category or told.category, told.service)


def _category(categories: list[Any], types: list[Any]) -> str:
    for category in categories:
        for kind in (*types, ""):
            found = CATEGORIES.get((category, kind)) if isinstance(category, str) and isinstance(kind, str) else None
            if found:
                return found
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
