"""People and their accounts: which accounts are one person's, and which texts name whom.

Accounts are one person's when they share a SID, an object id, a UPN, an employee's number, or what the export calls the
`person`. The person is called by the shortest name among these accounts' own, with its domain only where another
person has that name too: so a directory that arrives changes no name that was plain before, and adds the others to it.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from enrichers.claims import Claims
from enrichers.rows import LONGEST_DN, Row, RowError, Value, checked, many, name_of, one

#: Accounts that share one employee's number; more are a column that was filled with something else.
MOST_OF_A_PERSON: Final = 16
#: Accounts named in a person's details.
LISTED: Final = 20
_FALSE: Final = frozenset({"false", "0", "no"})
_TRUE: Final = frozenset({"true", "1", "yes"})
_DISABLED: Final = 2
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Account(NamedTuple):
    """One account of one directory; all texts folded but those for people."""

    name: str
    domain: str = ""
    upn: str = ""
    mails: tuple[str, ...] = ()
    sid: str = ""
    object_id: str = ""
    dn: str = ""
    employee: str = ""
    uid: str = ""
    aliases: tuple[str, ...] = ()
    person: str = ""
    disabled: bool = False
    display: str = ""
    department: str = ""
    title: str = ""

    @property
    def whole(self) -> str:
        """The name with its domain."""
        return f"{self.name}@{self.domain}" if self.domain else self.name


def account(row: Row, domain: str = "") -> Account:
    """An account from a row of an export of `domain`. Raises RowError, naming the field and no value."""
    upn = one(row, "upn").casefold()
    name = one(row, "name")
    local, _, behind = upn.partition("@")
    if not name and not local:
        raise RowError("it has neither a name nor a UPN")
    addresses = [mail.casefold().removeprefix("smtp:") for mail in many(row, "mail")]
    return Account(
        name=name_of(name or local, "name" if name else "upn"),
        domain=domain if name else behind,
        upn=upn,
        mails=tuple(mail for mail in addresses if "@" in mail),
        sid=sid_of(row.get("sid", ())),
        object_id=guid_of(row.get("object_id", ())),
        dn=dn_of(one(row, "dn", LONGEST_DN)),
        employee=one(row, "employee").casefold(),
        uid=_number(one(row, "uid")),
        aliases=tuple(name_of(alias, "alias") for alias in many(row, "alias")),
        person=one(row, "person").casefold(),
        disabled=_disabled(row),
        display=one(row, "display"),
        department=one(row, "department"),
        title=one(row, "title"),
    )


def dn_of(text: str) -> str:
    """A distinguished name, folded, without blanks behind its commas."""
    return ",".join(part.strip() for part in text.casefold().split(",")) if text else ""


def sid_of(values: Sequence[Value]) -> str:
    """A SID as text, of its text, its bytes (objectSid) or these in base64; '' where there is none."""
    for value in values:
        raw = _raw(value)
        if 8 <= len(raw) == 8 + 4 * raw[1] and raw[0] == 1:
            parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, len(raw), 4)]
            return "-".join(map(str, ("s", 1, int.from_bytes(raw[2:8], "big"), *parts)))
        text = checked(value, "sid").casefold()
        if text and not text.startswith("s-1-"):
            raise RowError("its sid is none")
        if text:
            return text
    return ""


def guid_of(values: Sequence[Value]) -> str:
    """An object's id as text, of its text or its sixteen bytes (objectGUID)."""
    for value in values:
        raw = _raw(value)
        if len(raw) == 16:
            return str(uuid.UUID(bytes_le=raw))
        text = checked(value, "object_id").strip("{}").casefold()
        if _GUID.fullmatch(text):  # a column `id` may be anything
            return text
    return ""


def _raw(value: Value) -> bytes:
    """The bytes of a binary attribute. LDIF gives them as text where they happen to be UTF-8."""
    if isinstance(value, bytes):
        return value
    if value[:1] == "\1" or not value.isprintable():
        return value.encode("utf-8", "surrogatepass")
    if value.startswith("AQ") and len(value) <= LONGEST_DN:
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            return b""
    return b""


def _number(text: str) -> str:
    if text and not (text.isdecimal() and text.isascii() and len(text) <= 10):
        raise RowError("its uid is no number")
    return text


def _disabled(row: Row) -> bool:
    control = one(row, "control")
    if control.isdecimal() and control.isascii() and int(control[:10]) & _DISABLED:
        return True
    return one(row, "enabled").casefold() in _FALSE or one(row, "disabled").casefold() in _TRUE


def unlinked(accounts: Iterable[Account]) -> list[str]:
    """Employee's numbers that too many accounts share to be a person's."""
    shared = Counter(each.employee for each in accounts if each.employee)
    return sorted(number for number, count in shared.items() if count > MOST_OF_A_PERSON)


def persons(accounts: Sequence[Account]) -> list[list[Account]]:
    """The accounts of each person, sorted: the same in whatever order they come."""
    ignored = frozenset(unlinked(accounts))
    home = list(range(len(accounts)))

    def root(at: int) -> int:
        while home[at] != at:
            home[at] = home[home[at]]
            at = home[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, each in enumerate(accounts):
        for link in _links(each, ignored):
            known = first.setdefault(link, at)
            if known != at:
                home[root(at)] = root(known)
    found = defaultdict(list)
    for at, each in enumerate(accounts):
        found[root(at)].append(each)
    return sorted(sorted(set(members)) for members in found.values())


def _links(each: Account, ignored: frozenset[str]) -> Iterator[tuple[str, str]]:
    yield "account", each.whole
    for kind, value in (("sid", each.sid), ("object", each.object_id), ("upn", each.upn), ("person", each.person)):
        if value:
            yield kind, value
    if each.employee and each.employee not in ignored:
        yield "employee", each.employee


def tabled(accounts: Sequence[Account], numbers: Mapping[tuple[str, str], str] = {}) -> dict[str, str]:
    """Entries of a table: `u` and a text, `n` and a number, `h`, a host and a number → how, and whom; `d` and a
    person → details.

    `numbers`: (host, uid) → account, as its name or its name with the domain; '' where it cannot be told.
    """
    groups = persons(accounts)
    bearers: defaultdict[str, set[int]] = defaultdict(set)
    for at, members in enumerate(groups):
        for each in members:
            for name in (each.name, *each.aliases):
                bearers[name].add(at)
    texts, uids = Claims(), Claims()
    entries = {}
    for members in groups:
        owner = _called(members, bearers)
        entries["d" + owner] = _details(members)
        for each in members:
            _claim(each, owner, texts)
            uids.add(each.uid, 0, "number", owner)
    entries |= dict(texts.entries("u")) | dict(uids.entries("n"))
    for (host, uid), name in numbers.items():
        if not name:
            continue
        said = entries.get("u" + name.casefold(), "").partition("\t")
        entries[f"h{host}\t{uid}"] = f"uid\t{said[2] or name.casefold()}"
    return entries


def _called(members: Sequence[Account], bearers: Mapping[str, set[int]]) -> str:
    said = min((each.person for each in members if each.person), default="")
    if said:
        return said
    least = min(members, key=lambda each: (each.disabled, len(each.name), each.name, each.domain))
    return least.name if len(bearers[least.name]) == 1 else least.whole


def _claim(each: Account, owner: str, texts: Claims) -> None:
    texts.add(each.sid, 0, "sid", owner)
    texts.add(each.object_id, 0, "object", owner)
    texts.add(each.dn, 0, "dn", owner)
    texts.add(each.upn, 1, "upn", owner)
    if each.domain:
        texts.add(each.whole, 2, "account", owner)
    for mail in each.mails:
        texts.add(mail, 3, "mail", owner)
    texts.add(each.name, 4, "name", owner)
    for alias in each.aliases:
        texts.add(alias, 4, "alias", owner)


def _details(members: Sequence[Account]) -> str:
    def said(field: str) -> str:
        return min((value for each in members if (value := getattr(each, field))), default="")

    told = {
        "accounts": [each.whole for each in members[:LISTED]],
        "display": said("display"),
        "department": said("department"),
        "title": said("title"),
        "disabled": all(each.disabled for each in members),
    }
    return orjson.dumps(told).decode()
