"""JSON of any size, walked: objects key by key, arrays item by item, values whole. Nothing is held but one value.

A value is decoded by the standard library's C scanner out of a window of the text, which says where it ends: four
times as fast as a parser of events (ijson) for what feeds have, many small objects. What cannot be decoded, because it
is too large, too deep or wrong, is named, and can be passed over by counting its brackets.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from detectors.ioc.feeds.entry import EndError

CHUNK: Final = 1 << 20
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_IN_TEXT: Final = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OUTSIDE: Final = re.compile(r'[^"\[\]{}]*+')
_SCALAR: Final = re.compile(r"[^,\]}\s]*+")
#: An error so close to the window's end may be of the end only: `tru`, `-`, `"\u00`.
_EDGE: Final = 16


class ValueFault(ValueError):  # noqa: N818 - a word of the feed, not of the program
    """One value that cannot be had. The walk stands before it: `skip` goes on behind it."""


class Walk:
    """A walk over UTF-8 bytes. `most` is the size of one value in characters. Raises EndError where it is no JSON."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._most = most
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._value = json.JSONDecoder(strict=False).raw_decode
        self._text = ""
        self._at = 0
        self._ended = False

    def next(self) -> str:
        """The character that the next value or mark begins with; "" at the end."""
        while True:
            mark = self._text[self._at : self._at + 1]
            if mark > " ":
                return mark
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value, whole. Raises ValueFault, and then stands before it."""
        self.next()
        while True:
            try:
                value, end = self._value(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _EDGE or error.msg.startswith("Unterminated")
                if not cut or self._ended:
                    raise ValueFault("no JSON") from None
            except RecursionError:
                raise ValueFault("nested too deep") from None
            except ValueError:
                raise ValueFault("a number of thousands of digits") from None
            else:
                if (end == len(self._text) or self._text[end] in ".eE+-") and self._more():
                    continue  # a number at the window's edge may go on
                if end - self._at > self._most:
                    raise self._large()
                self._at = end
                return value
            if len(self._text) - self._at > self._most:
                raise self._large()
            self._more()

    def _large(self) -> ValueFault:
        return ValueFault(f"larger than {self._most:,} characters (limits.entry_bytes)")

    def members(self) -> Iterator[str]:
        """The keys of the object that comes; the value of each must be taken or skipped before the next."""
        self._expect("{")
        if self._taken("}"):
            return
        while True:
            key = self._key()
            self._expect(":")
            yield key
            if self._taken("}"):
                return
            self._expect(",")

    def elements(self) -> Iterator[int]:
        """The items of the array that comes, numbered; each must be taken or skipped before the next."""
        self._expect("[")
        if self._taken("]"):
            return
        number = 0
        while True:
            yield number
            number += 1
            if self._taken("]"):
                return
            self._expect(",")

    def skip(self) -> None:
        """Pass over the next value, of whatever size and depth."""
        if self.next() not in ('"', "[", "{"):
            self._scalar()
            return
        depth = 0
        while True:
            self._pass(_OUTSIDE)
            mark = self._text[self._at]
            self._at += 1
            if mark == '"':
                self._pass(_IN_TEXT)
                self._at += 1
            else:
                depth += 1 if mark in "[{" else -1
            if depth <= 0:
                return

    def _scalar(self) -> None:
        start = self._at
        while True:
            match = _SCALAR.match(self._text, self._at)
            end = match.end() if match else self._at
            if end < len(self._text) or not self._more():
                break
            start = self._at
        self._at = max(end, self._at)
        if end == start:
            raise EndError("no JSON")

    def _pass(self, pattern: re.Pattern[str]) -> None:
        """Go behind all that fits; something else must follow."""
        while True:
            match = pattern.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) and self._text[self._at] != "\\":
                return
            if not self._more():
                raise EndError("JSON that ends early")

    def _key(self) -> str:
        try:
            key = self.value() if self.next() == '"' else None
        except ValueFault:
            key = None
        if not isinstance(key, str):
            raise EndError("no JSON")
        return key

    def _taken(self, mark: str) -> bool:
        if self.next() != mark:
            return False
        self._at += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._taken(mark):
            raise EndError("no JSON" if self._at < len(self._text) else "JSON that ends early")

    def _more(self) -> bool:
        """Take in as much again as is held, a chunk at least: what is tried anew stays a small part of all."""
        if self._ended:
            return False
        held = len(self._text) - self._at
        data = self._stream.read(max(CHUNK, held))
        self._ended = not data
        more = self._decode(data, self._ended)
        if more or data:
            self._text = self._text[self._at :] + more
            self._at = 0
        return bool(more or data)
