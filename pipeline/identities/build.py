"""From a plan's exports to the parts of a snapshot: tables, the same bytes in whatever order files and rows come."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from enrichers import assets, hubs, leases, people, table
from enrichers.assets import Asset, Process
from enrichers.identity import host_entity
from enrichers.leases import Lease
from enrichers.people import Account
from enrichers.rows import Row, RowError, name_of, one
from pipeline.identities.exports import rows_of
from pipeline.identities.fields import CLASSES, NOT
from pipeline.identities.plan import Export, Plan
from pipeline.identities.times import span
from schemas.errors import RefusedError
from schemas.identity import short_hash

#: Faults that are named; all are counted.
NAMED: Final = 20
MAX_ACCOUNTS: Final = 2_000_000
MAX_LEASES: Final = 5_000_000
#: States of leases, Kea's numbers and the words of Windows and ISC: held until its end, or nobody's.
_HELD: Final = frozenset({"", "0", "2", "active", "activereservation", "inactivereservation", "expired", "released"})
_FREE: Final = frozenset(
    {"1", "3", "declined", "free", "backup", "abandoned", "reset", "offered", "badaddress", "doomed"}
)


class Fault(NamedTuple):
    """A row that is not used, and why."""

    where: str
    why: str


@dataclass(slots=True)
class Gathered:
    """What the exports hold."""

    accounts: list[Account] = field(default_factory=list)
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)
    assets: list[Asset] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    dhcp: list[Lease] = field(default_factory=list)
    vpn: list[Lease] = field(default_factory=list)
    hubs: list[str] = field(default_factory=list)
    domains: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    faulty: Counter[str] = field(default_factory=Counter)
    """File → rows that are not used."""
    rows: Counter[str] = field(default_factory=Counter)
    """File → rows that are."""
    due: int = 0
    """Seconds since 1970 at which the first of the exports is older than its period."""


@dataclass(frozen=True, slots=True)
class Built:
    """A snapshot's parts by name, and what is to be said of it."""

    parts: dict[str, bytes]
    counts: dict[str, int]
    domains: dict[str, str]
    gathered: Gathered
    revision: str


def build(plan: Plan, folder: Path) -> Built:
    """Read a plan's exports and build what they come to. Raises RefusedError for a file that cannot be used."""
    gathered = Gathered()
    for export in plan.files:
        _gather(plan, export, folder / export.file, gathered)
    if len(gathered.accounts) > MAX_ACCOUNTS or len(gathered.dhcp) + len(gathered.vpn) > MAX_LEASES:
        raise RefusedError(f"The exports hold more than {MAX_ACCOUNTS:,} accounts or {MAX_LEASES:,} leases.")
    _check(gathered)
    person = people.tabled(gathered.accounts, gathered.numbers)
    tables = {
        "people": person,
        "assets": assets.tabled(gathered.assets, gathered.processes),
        "dhcp": leases.tabled(gathered.dhcp),
        "vpn": leases.tabled(gathered.vpn),
        "hubs": hubs.tabled(gathered.hubs),
    }
    counts = {
        "people": sum(key[0] == "d" for key in person),
        "accounts": len(set(gathered.accounts)),
        "assets": sum(key[0] == "d" for key in tables["assets"]),
        "processes": sum(key[0] == "p" for key in tables["assets"]),
        "dhcp": len(set(gathered.dhcp)),
        "vpn": len(set(gathered.vpn)),
        "hubs": len(set(gathered.hubs)),
    }
    parts = {name: table.build(entries) for name, entries in tables.items()}
    return Built(parts, counts, gathered.domains, gathered, revision_of(digests(parts), gathered.domains))


def digests(parts: dict[str, bytes]) -> dict[str, str]:
    """Part → the hash that names its file."""
    return {name: digest_of(data) for name, data in sorted(parts.items())}


def digest_of(data: bytes | mmap) -> str:
    """The hash that names the file of a part."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def revision_of(parts: dict[str, str], domains: dict[str, str]) -> str:
    """The revision of a snapshot of these parts."""
    said = [text for pair in (*sorted(parts.items()), *sorted(domains.items())) for text in pair]
    return short_hash("snapshot", *said)


def _gather(plan: Plan, export: Export, path: Path, gathered: Gathered) -> None:
    name = str(export.file)

    def refuse(line: int, why: str) -> None:
        gathered.faulty[name] += 1
        if len(gathered.faults) < NAMED:
            gathered.faults.append(Fault(f"{name}:{line}", why))

    own = [said.casefold().rstrip(".") for said in export.domain]
    for other in own:
        if gathered.domains.setdefault(other, own[0]) != own[0]:
            raise RefusedError(f"{name}: {other} is a name of two domains. Name each domain once in the plan.")
    take = _taker(plan, export, own[0] if own else "", gathered)
    for line, row in rows_of(export, path, refuse):
        if not _of_kind(export.kind, row):
            continue
        try:
            take(row)
        except RowError as error:
            refuse(line, str(error))
        else:
            gathered.rows[name] += 1
    if not gathered.rows[name] and gathered.faulty[name]:
        first = next(fault for fault in (*gathered.faults, Fault(name, "")) if fault.where.startswith(name))
        raise RefusedError(f"{path}: no row can be used ({first.where}: {first.why}). Check its columns.")
    due = int(path.stat().st_mtime) + (export.period or plan.period)
    gathered.due = min(gathered.due, due) if gathered.due else due


def _of_kind(kind: str, row: Row) -> bool:
    """Directories hold much that is neither: groups, containers, and computers among the users."""
    classes = {str(word).casefold() for word in row.get("class", ())}
    return not classes or kind not in CLASSES or not (classes.isdisjoint(CLASSES[kind]) or classes & NOT[kind])


def _taker(plan: Plan, export: Export, domain: str, gathered: Gathered) -> Callable[[Row], Any]:
    zone = ZoneInfo(export.zone or plan.zone)
    match export.kind:
        case "people":
            return lambda row: gathered.accounts.append(people.account(row, domain))
        case "uids":
            return lambda row: _number(row, gathered)
        case "assets":
            return lambda row: gathered.assets.append(assets.asset(row))
        case "processes":
            return lambda row: gathered.processes.append(assets.process(row))
        case "hubs":
            return lambda row: gathered.hubs.append(hubs.hub(row))
        case "dhcp" | "vpn":
            held = gathered.dhcp if export.kind == "dhcp" else gathered.vpn

            def take(row: Row) -> None:
                if export.kind == "vpn" or _is_held(one(row, "state").casefold()):
                    held.append(leases.lease(row, *span(row, export, zone)))

            return take


def _is_held(state: str) -> bool:
    if state not in _HELD and state not in _FREE:
        raise RowError("its state is none that is known")
    return state in _HELD


def _number(row: Row, gathered: Gathered) -> None:
    host, uid, name = host_entity(one(row, "host")), one(row, "uid"), one(row, "account").casefold()
    if not host or not name or not (uid.isdecimal() and uid.isascii()):
        raise RowError("it lacks its host, uid or account")
    name_of(name.partition("@")[0], "account")
    if gathered.numbers.setdefault((host, uid), name) != name:
        gathered.numbers[host, uid] = ""  # neither counts
        raise RowError("its host has this uid for another account too")


def _check(gathered: Gathered) -> None:
    """Faults that only the whole shows."""
    for _ in people.unlinked(gathered.accounts):
        gathered.faulty["employee"] += 1
    if gathered.faulty["employee"]:
        most = people.MOST_OF_A_PERSON
        why = f"{gathered.faulty['employee']:,} numbers stand at more than {most} accounts and link none"
        gathered.faults.append(Fault("employee", why))
    known = {each.id for each in gathered.processes}
    unknown = {name for each in gathered.assets for name in each.processes} - known
    if unknown and known:
        why = f"assets name {len(unknown):,} business processes that no file describes"
        gathered.faults.append(Fault("process", why))
