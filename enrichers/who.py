"""Who is who by a snapshot: the entities of an event, how each was resolved, and the asset that is concerned.

A function of the snapshot and the event alone; whose lease holds is decided by the event's own time. A resolved host or
person keeps its plain name where the snapshot knows one such alone, so a snapshot that arrives changes no entity that
was right before; what it does not know is folded as without it, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from enrichers.lookups import Found, Lookups
from enrichers.rows import LONGEST
from schemas.who import HOW, Resolution, Who

_REMEMBERED: Final = 1 << 14
_T = TypeVar("_T")


#: Where Windows names a user → where it says more of him: his SID, and his domain.
_BESIDE: Final = (
    ("TargetUserName", ("TargetUserSid", "TargetSid"), "TargetDomainName"),
    ("SubjectUserName", ("SubjectUserSid",), "SubjectDomainName"),
)


class Resolved(NamedTuple):
    """An event's entities as type:value, its own first, and how they were resolved."""

    entities: tuple[str, ...]
    host: Found
    user: Found
    src: Found
    snapshot: Snapshot | None = None

    def who(self) -> Who | None:
        """What is told of it on a detection; None where no snapshot was in force."""
        if self.snapshot is None:
            return None
        return Who(
            snapshot=self.snapshot.revision,
            host=_resolution(self.host),
            user=_resolution(self.user),
            src=_resolution(self.src),
            asset=self.snapshot.lookups.concerned(self.entities),
        )


class _Remembered(dict[str, _T]):
    """What a look-up found, by the raw value: most of what is asked was asked before.

    It forgets all at once when it is full. functools.lru_cache moves what it finds to the end of a list, which costs
    more than half of a look-up here.
    """

    def __init__(self, find: Callable[[str], _T]) -> None:
        self._find = find

    def __missing__(self, raw: str) -> _T:
        found = self._find(raw)
        if len(self) >= _REMEMBERED:
            self.clear()
        if len(raw) <= LONGEST:
            self[raw] = found
        return found


class Snapshot:
    """Who is who from a time on. `since`: milliseconds UTC of Kafka's time.

    What was looked up is remembered. The caches know the look-ups and not the snapshot, so that one which is no longer
    in force goes at once, without waiting for the collector.
    """

    def __init__(self, revision: str, since: int, lookups: Lookups | None = None) -> None:
        self.revision, self.since = revision, since
        self.lookups = lookups = lookups or Lookups()
        self._users = _Remembered(lookups.user)
        self._numbers = lru_cache(_REMEMBERED)(lookups.user)
        self._hosts = _Remembered(lookups.host)
        self._sources = _Remembered(lookups.source)

    def resolve(self, host: str, user: str, source: str, time_ms: int, numbers: bool = False) -> Resolved:
        """The entities of an event at a time, milliseconds UTC. `numbers`: a user of digits may be a uid."""
        own, leased = self._hosts[host]
        if leased is not None:
            own = self.lookups.behind(own.entity, leased, time_ms).host
        who = self._numbers(user, own.entity) if numbers else self._users[user]
        src, leased = self._sources[source]
        person = ""
        if leased is not None:
            _, src, person = self.lookups.behind(src.entity, leased, time_ms)
        told = [own.label, who.label, src.label]
        if "" in told:
            told = [label for label in told if label]
        if who.also and who.also not in told:
            told.append(who.also)
        if src.also and src.also not in told:
            told.append(src.also)
        if person and person not in told:
            told.append(person)
        return Resolved(tuple(told), own, who, src, self)

    def named(self, user: str, fields: Mapping[str, Any]) -> str:
        """The surest spelling of a user that a Windows event has: his SID if that is known, else with his domain."""
        for name, sids, domain in _BESIDE:
            if fields.get(name) != user:
                continue
            for field in sids:
                sid = fields.get(field)
                if type(sid) is str and self._users[sid].how == "sid":
                    return sid
            realm = fields.get(domain)
            plain = type(realm) is str and realm not in ("", "-") and "\\" not in user and "@" not in user
            return f"{realm}\\{user}" if plain else user
        return user

    def user(self, raw: str) -> Found:
        """The person whom a text names."""
        return self._users[raw]

    def host(self, raw: str, time_ms: int) -> Found:
        """The host that a name or an address is."""
        own, leased = self._hosts[raw]
        return own if leased is None else self.lookups.behind(own.entity, leased, time_ms).host


def _resolution(found: Found) -> Resolution | None:
    return Resolution(entity=found.entity, how=found.how, confidence=HOW[found.how]) if found.how else None
