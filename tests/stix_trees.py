"""STIX patterns as trees: what they mean, evaluated plainly, and how they are written, in more ways than needed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from schemas.event import Observable

#: How a type's values are written in a pattern.
PATHS = {
    "ipv4": "ipv4-addr:value",
    "ipv6": "ipv6-addr:value",
    "domain": "domain-name:value",
    "url": "url:value",
    "email": "email-message:sender_ref.value",
    "md5": "file:hashes.MD5",
    "sha256": "file:hashes.'SHA-256'",
    "file_name": "file:name",
    "mutex": "mutex:name",
    "account": "user-account:account_login",
    "user_agent": "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'",
}
KNOWN = [
    *(Observable("ipv4", f"203.0.113.{number}") for number in range(3)),
    *(Observable("domain", f"{name}.example") for name in "ab"),
    Observable("ipv6", "2001:db8::1"),
    Observable("url", "http://a.example/it's\\"),
    Observable("email", "a@b.example"),
    Observable("md5", "a1" * 16),
    Observable("sha256", "b2" * 32),
    Observable("file_name", "a b.exe"),
    Observable("mutex", "[x] OR ']"),
    Observable("account", "mallory"),
    Observable("user_agent", "Agent (x) AND 'y'"),
]


@dataclass(frozen=True)
class Any_:  # noqa: N801 - `Any` is typing's
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class All:
    parts: tuple[Tree, ...]


Tree = Observable | Any_ | All


def holds(tree: Tree, seen: set[Observable]) -> bool:
    """What a pattern means, by its definition."""
    if isinstance(tree, Observable):
        return tree in seen
    return (any if isinstance(tree, Any_) else all)(holds(part, seen) for part in tree.parts)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def printed(tree: Tree, random: Random) -> str:
    """A tree as a comparison expression, with more parentheses and blanks than it needs, or an IN."""
    if isinstance(tree, Observable):
        path, said = PATHS[tree.type], quoted(tree.value)
        return random.choice((f"{path} = {said}", f"{path}={said}", f"{path} IN ({said})", f"( {path}=={said} )"))
    mark = " OR " if isinstance(tree, Any_) else " AND "
    said = mark.join(f"({printed(part, random)})" for part in tree.parts)
    return f"({said})" if random.random() < 0.5 else said
