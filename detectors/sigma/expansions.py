"""Modifiers by which one value becomes several, or other bytes: expand, windash, base64, base64offset, UTF-16.

What is made of one value is alternatives, even under `all`: pySigma's SigmaExpansion.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from sigma import types as sigma

#: Dashes of one value that become texts of their own, 5^n of them; more are left to one pattern.
MAX_DASHES: Final = 3
#: pySigma's name for "any of the five dashes here".
WINDASH: Final = "_windash"
_DASHES: Final = ("-", "/", "\u2013", "\u2014", "\u2015")
_DASH: Final = re.compile(r"\B[-/\u2013\u2014\u2015]\b")


class UntranslatableError(ValueError):
    """This rule cannot be carried out; the text says why."""


class Chain(NamedTuple):
    """A modifier's surroundings: what is applied after it, and how regular expressions are checked."""

    after: Sequence[str]
    policy: Any


def expand(value: Any, _chain: Chain) -> Any:
    """Marks the placeholders of a text or an expression; their values are the site's and come later."""
    return value.insert_placeholders()


def refuse_open(value: Any, what: str) -> None:
    """Raise UntranslatableError where a text is not yet known in full, but must be."""
    for part in value.s:
        if isinstance(part, sigma.Placeholder):
            said = "more than three dashes" if part.name == WINDASH else f"the placeholder %{part.name}%"
            raise UntranslatableError(f"a value with {said} cannot become {what}; write its values out")


def _string(parts: Any) -> Any:
    """A text of these parts, those side by side joined."""
    made = sigma.SigmaString()
    for part in parts:
        if isinstance(part, str) and made.s and isinstance(made.s[-1], str):
            made.s[-1] += part
        elif part != "":
            made.s.append(part)
    return made


def windash(value: Any, _chain: Chain) -> Any:
    """Any of the dashes where one begins a word: texts of their own, or, for more than three, one pattern."""
    marked = value.replace_with_placeholder(_DASH, WINDASH)
    places = [at for at, part in enumerate(marked.s) if isinstance(part, sigma.Placeholder) and part.name == WINDASH]
    if len(places) > MAX_DASHES:
        return marked
    made = []
    for dashes in product(_DASHES, repeat=len(places)):
        parts = list(marked.s)
        for at, dash in zip(places, dashes, strict=True):
            parts[at] = dash
        made.append(_string(parts))
    return sigma.SigmaExpansion(made)


def utf16(codec: str, mark: bytes = b"") -> Callable[[Any, Chain], Any]:
    """UTF-16's bytes of a text: for base64 whatever it holds, else as the ASCII text with zeros that it may be."""

    def encode(value: Any, chain: Chain) -> Any:
        refuse_open(value, "UTF-16")
        parts = [part.encode(codec) if isinstance(part, str) else part for part in value.s]
        made = sigma.SigmaString()
        if chain.after and chain.after[0] in ("base64", "base64offset"):
            made.s = list(value.s)
            made.encoded = mark + b"".join(part for part in parts if isinstance(part, bytes))
            return made
        if mark or any(isinstance(part, bytes) and not part.isascii() for part in parts):
            raise UntranslatableError("UTF-16 beyond ASCII is bytes and no text; base64 or base64offset must follow")
        made.s = [part.decode("ascii") if isinstance(part, bytes) else part for part in parts]
        return made

    return encode


def _bytes(value: Any) -> bytes:
    refuse_open(value, "base64")
    if value.contains_special():
        raise UntranslatableError("a text with wildcards cannot be encoded as base64")
    found: bytes = getattr(value, "encoded", None) or "".join(value.s).encode()
    if not found:
        raise UntranslatableError("an empty text cannot be encoded as base64")
    return found


def base64(value: Any, _chain: Chain) -> Any:
    return sigma.SigmaString.from_str(b64encode(_bytes(value)).decode())


def base64offset(value: Any, _chain: Chain) -> Any:
    """The three ways in which base64 writes bytes inside others, less the characters that the neighbours change."""
    data, made = _bytes(value), []
    for shift in range(3):
        written = b64encode(b" " * shift + data).decode()
        end = (None, -3, -2)[(len(data) + shift) % 3]
        text = written[(0, 2, 3)[shift] : end]
        if text:
            made.append(sigma.SigmaString.from_str(text))
    return sigma.SigmaExpansion(made)


def expression(text: str, chain: Chain) -> Any:
    return sigma.SigmaRegularExpression(text, policy=chain.policy)
