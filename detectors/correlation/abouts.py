"""What is known of the records whose contributions are held: an episode is told with host and user of its first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from detectors.correlation.contribution import About
from schemas.event import Source


class Abouts:
    """Identity → what is known of the record, of one correlation. `most`: records kept; those that came first go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[int, tuple[int, About]] = OrderedDict()
        self._firsts: dict[int, About] = {}
        self._known: dict[About, About] = {}

    def __len__(self) -> int:
        return len(self._kept) + len(self._firsts)

    def keep(self, identity: int, time: int, about: About) -> None:
        """Keep what is known of a record. Few hosts and users share many records: one value for all of them."""
        self._kept[identity] = (time, self._known.setdefault(about, about))
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def of(self, identity: int) -> About | None:
        """What is known of it."""
        kept = self._kept.get(identity)
        return kept[1] if kept is not None else self._firsts.get(identity)

    def forget(self, edge: int, firsts: Iterable[int]) -> None:
        """Let records go whose time is not after `edge`, but for those with which open episodes begin."""
        stay = set(firsts)
        self._firsts = {identity: about for identity, about in self._firsts.items() if identity in stay}
        gone = 0
        while self._kept:
            identity, (time, about) = next(iter(self._kept.items()))
            if time > edge:
                break
            if identity in stay:
                self._firsts[identity] = about
            self._kept.popitem(last=False)
            gone += 1
        if gone and len(self._known) > 2 * len(self._kept) + 64:
            self._known = {about: about for _, about in self._kept.values()}

    def dump(self) -> list[Any]:
        """What JSON can carry."""
        kept = [[identity, time, said(about)] for identity, (time, about) in self._kept.items()]
        return [kept, [[identity, said(about)] for identity, about in self._firsts.items()]]

    def restore(self, dumped: Any) -> None:
        """What was dumped."""
        kept, firsts = dumped
        for identity, time, about in kept:
            self.keep(identity, time, about_of(about))
        self._firsts = {identity: about_of(about) for identity, about in firsts}


def said(about: About) -> list[Any]:
    """As JSON can carry it."""
    return [*about[:4], list(about.source), about.format]


def about_of(carried: Any) -> About:
    """From what JSON carried."""
    host, user, src_ip, entities, source, form = carried
    return About(host, user, src_ip, tuple(entities), Source(*source), form)
