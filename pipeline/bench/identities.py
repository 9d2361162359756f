"""What who is who costs: building and opening a snapshot, memory of a process, µs an event cold and warm.

Everyone is made up: people with a name, UPN, mail address, SID, number and DN; hosts with a name, FQDN, address and
hardware address; leases of two days. Events name people and hosts in all spellings, from a fixed seed.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from enrichers.identities import Identities
from pipeline.identities.build import build
from pipeline.identities.plan import read_plan
from pipeline.identities.versions import keep, load_identities
from schemas.event import Event, Format, Source

PEOPLE: Final = 100_000
HOSTS: Final = 50_000
NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)
NOW_MS: Final = int(NOW.timestamp() * 1_000)
#: Who and what a stream of some minutes names; the rest of a bank sleeps, or works elsewhere.
AT_WORK: Final = 1_000
#: Events judged at once, about.
SLICE: Final = 128
_FORMAT: Final = Format("bench", "json")
_PLAN: Final = """\
files:
  - {file: people.csv, kind: people, domain: [bank.example, BANK]}
  - {file: hosts.csv, kind: assets}
  - {file: dhcp.csv, kind: dhcp}
"""


def run(*, people: int = PEOPLE, hosts: int = HOSTS, events: int = 200_000) -> dict[str, Any]:
    """Seconds to build and to open, bytes on disk and in memory, and µs of CPU an event.

    `cold`: each value for the first time, of all people and hosts alike. `warm`: of those who are at work.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _exports(folder, people, hosts)
        started = time.perf_counter()
        built = build(read_plan(folder / "plan.yml"), folder)
        took = time.perf_counter() - started
        size = sum(map(len, built.parts.values()))
        keep(built, folder / "kept", NOW, NOW, 100)
        del built
        chance = random.Random(1)  # noqa: S311 - the same events each time
        gc.collect()
        before = _private()
        started = time.perf_counter()
        found = load_identities(folder / "kept")
        opened = time.perf_counter() - started
        cold = _spent(found, min(events, people) // SLICE, lambda: _event(chance, people, hosts))
        at_work = min(people, AT_WORK), min(hosts, AT_WORK)
        _spent(found, events // SLICE, lambda: _event(chance, *at_work))
        warm = _spent(found, events // SLICE, lambda: _event(chance, *at_work))
        return {
            "people": people,
            "hosts": hosts,
            "build_seconds": round(took, 2),
            "open_seconds": round(opened, 4),
            "disk_bytes": size,
            "private_bytes": max(0, _private() - before),
            "cold_us": round(cold, 2),
            "warm_us": round(warm, 2),
        }


def _spent(found: Identities, slices: int, event: Callable[[], Event]) -> float:
    """µs an event of the median slice. Events are made right before they are resolved, as parsers make them."""
    costs = []
    for _ in range(slices):
        events = [event() for _ in range(SLICE)]
        started = time.thread_time()
        for each in events:
            found.of(each)
        costs.append((time.thread_time() - started) / SLICE * 1e6)
    return statistics.median(costs)


def _event(chance: random.Random, people: int, hosts: int) -> Event:
    person, host, source = chance.randrange(people), chance.randrange(hosts), chance.randrange(hosts)
    user = chance.choice(
        (f"BANK\\user{person}", f"user{person}@bank.example", _sid(person), f"u.{person}@mail.example", f"user{person}")
    )
    machine = chance.choice((f"WS-{host}.bank.example", f"WS-{host}"))
    return Event(
        0, b"", _FORMAT, Source("windows"), {}, NOW_MS, NOW_MS, host=machine, user=user, src_ip=_address(source)
    )


def _exports(folder: Path, people: int, hosts: int) -> None:
    (folder / "plan.yml").write_text(_PLAN)
    with (folder / "people.csv").open("w") as file:
        file.write(
            "sAMAccountName,userPrincipalName,mail,objectSid,employeeID,uidNumber,distinguishedName,displayName\n"
        )
        for at in range(people):
            dn = f'"CN=User {at},OU=Staff,DC=bank,DC=example"'
            file.write(
                f"user{at},user{at}@bank.example,u.{at}@mail.example,{_sid(at)},{at},{at + 10_000},{dn},User {at}\n"
            )
    with (folder / "hosts.csv").open("w") as file:
        file.write("name,fqdn,address,mac,criticality,owner\n")
        for at in range(hosts):
            # Half of the hosts have fixed addresses.
            fixed = _address(at) if at % 2 else ""
            file.write(f"WS-{at},ws-{at}.bank.example,{fixed},{_mac(at)},low,Branch {at % 300}\n")
    with (folder / "dhcp.csv").open("w") as file:
        file.write("address,start,end,hostname,mac\n")
        for at in range(0, hosts, 2):
            for day in (1, 2):
                start = NOW_MS // 1_000 - 86_400 * (day - 1) - 3_600
                file.write(f"{_address(at)},{start},{start + 86_400},ws-{at},{_mac(at)}\n")


def _sid(at: int) -> str:
    return f"S-1-5-21-1004336348-1177238915-682003330-{at + 1_000}"


def _mac(at: int) -> str:
    return f"02{at:010x}"


def _address(at: int) -> str:
    return f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"


def _private() -> int:
    """Bytes that belong to this process alone; what is mapped of a file is shared with the others."""
    with Path("/proc/self/smaps_rollup").open() as file:
        found = {line.split(":")[0]: line.split()[1] for line in file if ":" in line}
    return 1024 * (int(found["Private_Dirty"]) + int(found.get("Private_Hugetlb", "0")))
