r"""Which rules can match a record at all: a look at its bytes for the literals without which they cannot.

Every rule has a *witness*: literals of which one must stand in the record (AND: the rarest child's; OR: the union;
NOT: none). One Hyperscan pass over many records finds them; only the rules behind them, and the few without a witness,
are evaluated. A literal counts only in the form in which its value stands in the scanned bytes, so that no match is
lost:

- JSON: `"` and `\` are escaped, the rest stands as it is, unless the record holds `\u` or `\/`. These two are scanned
  for as well, and a record that holds one is scanned again over its decoded values.
- Case: ASCII letters by Hyperscan; K (Kelvin) and ſ, which fold to k and s, send a record to its decoded values, which
  are folded. Of a literal beyond ASCII a part is taken, in all its cases.
- Numbers may be written in several ways (1e3), so nothing that a number's text may hold is a literal.
- What a parser computes (`Format.derived`) is put behind the record's bytes.
- Control characters are no part of a literal: no record joins another in one.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate, product
from typing import Any, Final, Literal

import hyperscan
import orjson

from detectors.sigma.fields import View, fold, pick, variants
from detectors.sigma.patterns import required
from detectors.sigma.rule import Node
from detectors.sigma.shelf import Shelf
from schemas.event import Event

Form = Literal["json", "text"]
Witness = frozenset[str]
"""Folded literals; one must stand in the values of a record that matches. Empty: the condition cannot be met."""

#: Shorter ones stand everywhere.
SHORTEST: Final = 3
LONGEST: Final = 48
#: Characters of a literal beyond ASCII that are looked for in all their cases: at most 2^4 spellings, rarely 3^4.
WINDOW: Final = 4

#: Texts that many events hold → in what share of them, roughly as in public recordings of Windows machines. A literal
#: within one of them finds little out. The names of fields count too: they stand in the bytes beside the values.
COMMON: Final[Mapping[str, float]] = {
    "|c:\\windows\\system32\\ntdll.dll+|c:\\windows\\system32\\kernelbase.dll+": 0.6,
    "|c:\\windows\\system32\\kernel32.dll+": 0.5,
    "c:\\windows\\system32\\svchost.exe": 0.4,
    "c:\\windows\\system32\\windowspowershell\\v1.0\\powershell.exe": 0.3,
    "c:\\windows\\system32\\wbem\\wmiprvse.exe": 0.1,
    "c:\\windows\\system32\\lsass.exe": 0.05,
    "c:\\windows\\system32\\cmd.exe": 0.05,
    "c:\\windows\\syswow64\\": 0.1,
    "c:\\windows\\explorer.exe": 0.1,
    "c:\\program files (x86)\\microsoft\\": 0.1,
    "c:\\program files\\": 0.2,
    "c:\\programdata\\microsoft\\windows\\": 0.1,
    "c:\\users\\public\\": 0.2,
    "\\appdata\\local\\microsoft\\": 0.1,
    "\\appdata\\local\\temp\\": 0.1,
    "\\system\\currentcontrolset\\services\\": 0.1,
    "\\system\\currentcontrolset\\control\\": 0.05,
    "\\software\\microsoft\\windows\\currentversion\\explorer\\": 0.1,
    "\\software\\microsoft\\windows nt\\currentversion\\": 0.05,
    "microsoft-windows-security-auditing": 0.3,
    "microsoft corporation microsoft windows operating system": 0.3,
    "nt authority\\system": 0.5,
    "dword (0x00000000)": 0.1,
    "dword (0x00000001)": 0.1,
    "system.management.automation new-object set-item invoke-command": 0.2,
    "http:// https:// unknown": 0.2,
    "process create (rule: processcreate)": 0.3,
    "type syscall execve path cwd proctitle user_start user_end cred_acq service_start": 0.3,
    "true false audit success failure information": 0.8,
    "process processid processguid source sourceimage target targetimage targetobject targetfilename image "
    "imageloaded commandline parentimage parentcommandline originalfilename description product company hashes user "
    "username account logon domain event eventid provider channel keywords message task opcode level version "
    "registry key value object service name type query status access granted operation privilege security": 0.8,
}

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_ASCII: Final = re.compile(r"[\x20-\x7e]+")
#: What a number's text may hold, in whole or in part: 1.5e+16.
_NUMBERISH: Final = re.compile(r"-?[0-9]*\.?[0-9]*e?[+-]?[0-9]*")


def witness(tree: Node) -> Witness | None:
    """The rarest set of literals of which a match needs one; None: no literal is needed."""
    kind = tree[0]
    if kind == "and":
        known = [found for child in tree[1:] if (found := witness(child)) is not None]
        return min(known, key=_weight, default=None)
    if kind == "or":
        union: set[str] = set()
        for child in tree[1:]:
            found = witness(child)
            if found is None:
                return None
            union |= found
        return _fewest(union)
    if kind in ("eq", "starts", "ends", "has"):
        return _of_texts([text] for text in tree[2])
    if kind == "like":
        return _of_texts([part for part in shape if isinstance(part, str)] for shape in tree[2])
    if kind == "re":
        found = required(tree[2])
        return None if found is None else _of_texts([text] for text in found)
    return None


def _of_texts(alternatives: Iterable[list[str]]) -> Witness | None:
    """The best literal of each alternative, where each has one."""
    literals = set()
    for texts in alternatives:
        best = literal(texts)
        if best is None:
            return None
        literals.add(best)
    return _fewest(literals)


def _fewest(literals: set[str]) -> Witness:
    """Without those that hold another of the set; in quadratic time, so for large sets not at all."""
    if len(literals) > 300:
        return frozenset(literals)
    return frozenset(one for one in literals if not any(other in one for other in literals if other != one))


@lru_cache(maxsize=16_384)
def _best(text: str) -> str | None:
    """The rarest usable part of one text, folded."""
    parts = []
    for run in _CONTROL.split(fold(text)):
        parts += [part for part in _ASCII.findall(run) if len(part) >= SHORTEST]
        parts += [part for at in range(0, len(run), WINDOW) if not (part := run[at : at + WINDOW]).isascii()]
    parts = [part[:LONGEST] for part in parts if not _NUMBERISH.fullmatch(part[:LONGEST])]
    return min(parts, key=weight, default=None)


def literal(texts: list[str]) -> str | None:
    """The rarest literal among texts that a value holds all of; None where they hold none worth looking for."""
    found = [best for text in texts if (best := _best(text)) is not None]
    return min(found, key=weight, default=None)


@lru_cache(maxsize=1 << 16)
def weight(text: str) -> float:
    """How often a literal stands in an event, guessed; less is rarer."""
    shares = [share for common, share in COMMON.items() if text in common]
    if shares:
        return max(shares)
    if not text.isascii():
        return 0.02 / len(text)
    letters = sum(char.isalnum() for char in text)
    return float(0.5 ** min(letters + 1, 16))


def _weight(literals: Witness) -> float:
    return sum(map(weight, literals))


def spellings(text: str, form: Form) -> list[tuple[bytes, bool]]:
    """The bytes to look for, each with whether ASCII case is ignored."""
    if text.isascii():
        return [(orjson.dumps(text)[1:-1] if form == "json" else text.encode(), True)]
    cases = product(*(variants().get(char, char) for char in text))
    return [(orjson.dumps("".join(case))[1:-1] if form == "json" else "".join(case).encode(), False) for case in cases]


#: What may send a record to its decoded values: the two letters that fold to ASCII ones, the escapes with a choice.
_LETTERS: Final = ("\u212a".encode(), "\u017f".encode())
_ESCAPES: Final = (b"\\u", b"\\/")


def has_escape(record: bytes) -> bool:
    r"""Whether the JSON holds `\u` or `\/`, and not merely an escaped backslash before the letter, as in C:\\users."""
    for escape in _ESCAPES:
        at = record.find(escape)
        while at >= 0:
            before = at
            while before and record[before - 1] == 0x5C:
                before -= 1
            if (at - before) % 2 == 0:
                return True
            at = record.find(escape, at + 2)
    return False


def _database(texts: list[str], form: Form, shelf: Shelf | None) -> Any:
    """The literals by their numbers, and after the last one what makes a record doubtful."""
    key = b"database" + hashlib.blake2b(orjson.dumps([form, texts]), digest_size=16).digest()
    kept = shelf.get(key) if shelf is not None else None
    if kept is not None:
        with suppress(hyperscan.error):  # of another version or kind of processor
            found = hyperscan.loadb(kept, hyperscan.HS_MODE_BLOCK)
            found.scratch = hyperscan.Scratch(found)
            return found
    made = _compiled(texts, form)
    if shelf is not None:
        shelf.put(key, hyperscan.dumpb(made))
    return made


def _compiled(texts: list[str], form: Form) -> Any:
    expressions: list[bytes] = []
    flags: list[int] = []
    ids: list[int] = []
    for number, text in enumerate(texts):
        for spelt, caseless in spellings(text, form):
            expressions.append(spelt)
            flags.append(hyperscan.HS_FLAG_CASELESS if caseless else 0)
            ids.append(number)
    doubts = (*_LETTERS, *(_ESCAPES if form == "json" else ()))
    expressions += doubts
    flags += [0] * len(doubts)
    ids += [len(texts)] * len(doubts)
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, ids=ids, elements=len(ids), flags=flags, literal=True)
    return database


#: Bytes joined for one pass; bounds the copy.
CHUNK: Final = 4 << 20


class Scanner:
    """One Hyperscan database: the literals of one route in one form, and whose they are. For one thread at a time.

    `shelf`: where databases are kept; one from there needs no compiling.
    """

    def __init__(self, owners: dict[str, tuple[int, ...]], form: Form, shelf: Shelf | None = None) -> None:
        self._owners = list(owners.values())
        self._hits: list[tuple[int, int]] = []
        self._form = form
        self._doubt = len(self._owners)
        database = _database(list(owners), form, shelf)
        self._scan: Callable[..., Any] = database.scan
        self.size: int = database.size()
        found = self._hits.append

        def on_hit(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found((end, number))

        self._on_hit = on_hit

    def scan(self, records: Sequence[bytes]) -> tuple[dict[int, set[int]], set[int]]:
        """Number of record → owners of the literals in it; and the records to be scanned over their values."""
        candidates: dict[int, set[int]] = {}
        doubtful: set[int] = set()
        start = size = 0
        for end, record in enumerate(records, 1):
            size += len(record)
            if size >= CHUNK or end == len(records):
                self._chunk(records[start:end], start, candidates, doubtful)
                start, size = end, 0
        return candidates, {at for at in doubtful if self._is_doubtful(records[at])}

    def _is_doubtful(self, record: bytes) -> bool:
        if self._form == "json" and has_escape(record):
            return True
        return any(letter in record for letter in _LETTERS)

    def _chunk(self, records: Sequence[bytes], first: int, candidates: dict[int, set[int]], doubtful: set[int]) -> None:
        hits, owners = self._hits, self._owners
        hits.clear()
        # Hyperscan cannot tell an empty block; and a line feed is in no literal, so none spans two records.
        self._scan(b"\n".join(records) or b"\n", self._on_hit)
        if not hits:
            return
        ends = list(accumulate(len(record) + 1 for record in records))
        for end, number in hits:
            # A hit ends at most at its record's last byte, whose successor is the line feed.
            at = first + bisect_left(ends, end)
            if number == self._doubt:
                doubtful.add(at)
            elif at in candidates:
                candidates[at].update(owners[number])
            else:
                candidates[at] = set(owners[number])


def scanned(event: Event) -> bytes:
    """What is scanned of an event whose bytes hold its values: these, and behind them what the parser computed."""
    derived = event.format.derived
    if not derived:
        return event.raw
    values = [value for name in derived if (value := pick(event.fields, name)) is not None]
    if not values:
        return event.raw
    if event.format.form == "json":
        try:
            return event.raw + b"\n" + orjson.dumps(values)
        except TypeError:  # no JSON can say it (a lone surrogate): an escape sends the record to its values
            return event.raw + b"\n\\u"
    return event.raw + b"\n" + View({"": values}).page(cased=True).encode("utf-8", "surrogatepass")


def decoded(event: Event) -> bytes:
    """All values of an event, folded, for the form "text"."""
    return View(event.fields).page(cased=False).encode("utf-8", "surrogatepass")
