"""Assets and business processes: which names, addresses and hardware addresses are which host, and what rests on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import orjson

from enrichers.claims import Claims
from enrichers.rows import Row, RowError, address_of, mac_of, many, name_of, one

#: From the least to the most.
CRITICALITY: Final = ("unknown", "low", "medium", "high", "critical")


class Asset(NamedTuple):
    """A host. `fqdn` is '' where the list has short names alone."""

    name: str
    fqdn: str = ""
    addresses: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    criticality: str = "unknown"
    owner: str = ""
    environment: str = ""
    processes: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The name by which the list tells it from others."""
        return self.fqdn or self.name


class Process(NamedTuple):
    """A business process, named in the languages of the law."""

    id: str
    name_kk: str = ""
    name_ru: str = ""
    name_en: str = ""
    owner: str = ""
    deputies: tuple[str, ...] = ()
    criticality: str = "unknown"


def asset(row: Row) -> Asset:
    """An asset from a row. Raises RowError."""
    said, whole = one(row, "name").casefold().rstrip("."), one(row, "fqdn").casefold().rstrip(".")
    if not said and not whole:
        raise RowError("it has neither a name nor a FQDN")
    if not whole and "." in said:
        whole = said
    macs = many(row, "mac")
    if not all(mac_of(mac) for mac in macs):
        raise RowError("its mac is none")
    return Asset(
        name=name_of((said or whole).partition(".")[0], "name"),
        fqdn=name_of(whole, "fqdn"),
        addresses=tuple(address_of(text) for text in many(row, "address")),
        macs=tuple(mac_of(mac) for mac in macs),
        aliases=tuple(name_of(text, "alias").rstrip(".") for text in many(row, "alias")),
        criticality=criticality_of(row),
        owner=one(row, "owner"),
        environment=one(row, "environment"),
        processes=many(row, "process"),
    )


def process(row: Row) -> Process:
    """A business process from a row. Raises RowError."""
    if not one(row, "id"):
        raise RowError("it has no id")
    return Process(
        one(row, "id"),
        one(row, "name_kk"),
        one(row, "name_ru"),
        one(row, "name_en"),
        one(row, "owner"),
        many(row, "deputy"),
        criticality_of(row),
    )


def criticality_of(row: Row) -> str:
    """How critical a row says it is. Raises RowError for a word that is none."""
    said = one(row, "criticality").casefold() or "unknown"
    if said not in CRITICALITY:
        raise RowError(f"its criticality is none of {', '.join(CRITICALITY)}")
    return said


def tabled(assets: Iterable[Asset], processes: Iterable[Process]) -> dict[str, str]:
    """Entries of a table: `n` and a name, `s` and a short name, `a` and an address, `m` and a hardware address → how,
    and which host; `d` and a host, `p` and a process → details.
    """
    kept = _merged(assets)
    known = {each.id: each for each in sorted(processes, reverse=True)}  # of two with one id the lesser counts
    bearers: defaultdict[str, set[str]] = defaultdict(set)
    for each in kept:
        for name in (each.name, *each.aliases):
            bearers[name].add(each.whole)
    names, shorts, addresses, macs = Claims(), Claims(), Claims(), Claims()
    entries = {"p" + each.id: orjson.dumps(each._asdict()).decode() for each in known.values()}
    for each in kept:
        owner = each.name if len(bearers[each.name]) == 1 else each.whole
        entries["d" + owner] = _details(each, known)
        names.add(each.fqdn, 0, "fqdn", owner)
        names.add(each.name, 1, "name", owner)
        for alias in each.aliases:
            names.add(alias, 1, "alias", owner)
        if not each.fqdn:
            shorts.add(each.name, 0, "name", owner)
        for address in each.addresses:
            addresses.add(address, 0, "address", owner)
        for mac in each.macs:
            macs.add(mac, 0, "mac", owner)
    for prefix, claims in (("n", names), ("s", shorts), ("a", addresses), ("m", macs)):
        entries |= claims.entries(prefix)
    return entries


def _merged(assets: Iterable[Asset]) -> list[Asset]:
    """Rows of one host as one; the most critical counts."""
    rows: defaultdict[str, list[Asset]] = defaultdict(list)
    for each in assets:
        rows[each.whole].append(each)
    return [_joined(sorted(rows[name])) for name in sorted(rows)]


def _joined(rows: Sequence[Asset]) -> Asset:
    if len(rows) == 1:
        return rows[0]

    def union(field: str) -> tuple[str, ...]:
        return tuple(sorted({value for each in rows for value in getattr(each, field)}))

    return rows[0]._replace(
        addresses=union("addresses"),
        macs=union("macs"),
        aliases=union("aliases"),
        processes=union("processes"),
        criticality=max((each.criticality for each in rows), key=CRITICALITY.index),
        owner=min((each.owner for each in rows if each.owner), default=""),
        environment=min((each.environment for each in rows if each.environment), default=""),
    )


def _details(each: Asset, known: dict[str, Process]) -> str:
    """What travels on detections. What an asset does not say of itself, its business processes say."""
    mine = [known[name] for name in each.processes if name in known]
    criticality = each.criticality
    if criticality == "unknown":
        criticality = max((one.criticality for one in mine), key=CRITICALITY.index, default="unknown")
    told = {
        "name": each.whole,
        "criticality": criticality,
        "owner": each.owner or min((one.owner for one in mine if one.owner), default=""),
        "environment": each.environment,
        "processes": each.processes,
    }
    return orjson.dumps(told).decode()
