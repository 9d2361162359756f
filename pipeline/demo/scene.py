"""What every happening needs at hand: chance, the cast, record numbers, and ids that stay the same for one thing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import lru_cache
from random import Random
from typing import Any, Final, NamedTuple

from pipeline.demo.cast import DOMAIN, Cast, Host, Person
from pipeline.demo.shapes import WindowsEvent, windows

WINDOWS: Final = "raw.windows"
LINUX: Final = "raw.linux"
NETWORK: Final = "raw.network"
#: The raw topics that the bank's shippers write to.
TOPICS: Final = (WINDOWS, LINUX, NETWORK)


class Message(NamedTuple):
    """One record to publish. `time_ms` is its timestamp: the event's own time, milliseconds UTC."""

    topic: str
    key: bytes | None
    value: bytes | None
    time_ms: int


class Scene:
    """The stage on which events happen; owns the only source of chance."""

    def __init__(self, cast: Cast, rng: Random) -> None:
        self.cast = cast
        self.rng = rng
        self.people = cast.people
        self.workstations = cast.of("workstation")
        self.servers = cast.of("server", "mail")
        self.controllers = cast.of("dc")
        self.core = cast.of("core")
        self.unix = cast.of("core", "payment", "proxy", "vpn", "linux")
        self.admins = cast.department("it")
        self._records: defaultdict[tuple[str, str], int] = defaultdict(lambda: 100_000)

    def pick(self, options: tuple[Any, ...]) -> Any:
        """One of the options, each as likely; three times as fast as `Random.choice`."""
        return options[int(self.rng.random() * len(options))]

    def number(self, low: int, high: int) -> int:
        """A whole number, low <= n < high."""
        return low + int(self.rng.random() * (high - low))

    def guid(self) -> str:
        """A random GUID in braces."""
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{{{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}}}"

    def seat(self, person: Person) -> Host:
        """The workstation of a person."""
        return self.workstations[person.workstation]

    def windows(self, host: Host, time_ms: int, channel: str, event_id: int, data: dict[str, Any]) -> Message:
        """A Windows event of `host`, with the channel's next record number, in the host's shape."""
        self._records[host.name, channel] += 1
        event = WindowsEvent(host, time_ms, channel, event_id, self._records[host.name, channel], data)
        return Message(WINDOWS, host.name.encode(), windows(event), time_ms)


def account(person: Person) -> str:
    r"""`DOMAIN\account`, as Sysmon writes users."""
    return f"{DOMAIN}\\{person.account}"


@lru_cache(maxsize=4096)
def hashes(image: str) -> str:
    """The hashes of one program, as Sysmon writes them: the same file, the same hashes."""
    data = image.lower().encode()
    sha256 = hashlib.sha256(data).hexdigest().upper()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest().upper()
    return f"MD5={md5},SHA256={sha256}"


@lru_cache(maxsize=4096)
def logon_id(*who: str) -> str:
    """The logon id of one account on one host, as the Security log writes it."""
    digest = hashlib.blake2b("/".join(who).encode(), digest_size=3).hexdigest()
    return f"0x{int(digest, 16) + 0x10000:x}"
