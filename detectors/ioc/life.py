"""The life of one indicator: what its source and people have said of it, folded into one state.

Of two words of a kind the later stands, whichever comes first, and a word said twice is said once: records that are
delivered again, or read again after a restart, change nothing. Only its own source revokes an indicator; a person's
`expire` outlives whatever its feed says afterwards; a release is of the values that were there to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.indicator_record import MOST_VALUES, Command, Document, Gated, Reason, Seen, State, Word

#: Milliseconds for which an indicator stays after `valid_until`: events may bear a time so far back.
GRACE_MS: Final = 7 * 86_400_000


def submitted(known: Gated | None, said: Document, *, feed: str = "") -> Gated:
    """The entry after a document. What it says of values that were not there before is yet to be gated."""
    content = said.content
    if known is None:
        return Gated(
            source=said.source,
            id=said.id,
            state="waiting",
            revision=0,
            at=said.at,
            document=said,
            content=content,
            feed=feed,
            since=said.at,
            values_at=said.at,
        )
    if (said.at, content) <= (known.document.at, known.content):
        return known
    if content == known.content:
        return known.model_copy(update={"document": said, "feed": feed})
    same = set(said.values) == set(known.document.values)
    had, has = known.document.observables(), set(said.observables())
    gone = dict.fromkeys(pair for pair in (*known.gone, *map(tuple, had)) if pair not in has)
    changed: dict[str, object] = {
        "document": said,
        "content": content,
        "feed": feed,
        "gone": tuple(gone)[-MOST_VALUES:],
    }
    if not same:
        changed |= {"values_at": said.at, "reasons": (), "prevalence": (), "asked": False, "grouped": False}
    elif said.authority != known.document.authority:
        changed |= {"asked": False}
    return known.model_copy(update=changed)


def told(known: Gated, said: Command) -> Gated:
    """The entry after a command. What was said before there was the indicator says nothing of it."""
    if said.at < known.since:
        return known
    name = {"revoke": "revoked", "release": "released", "expire": "expired"}[said.kind]
    before: Word | None = getattr(known, name)
    word = Word(by=said.by, reason=said.reason, at=said.at)
    if before is not None and (before.at, before.by, before.reason) >= (word.at, word.by, word.reason):
        return known
    return known.model_copy(update={name: word})


def gated(known: Gated, reasons: Sequence[Reason], seen: Sequence[Seen], *, asked: bool) -> Gated:
    """The entry with the gate's verdict on its values. `asked`: the store has answered."""
    authority = bool(known.document.authority)
    return known.model_copy(
        update={
            "reasons": tuple(reasons),
            "prevalence": tuple(seen),
            "asked": asked,
            "grouped": authority and any(reason.rule == "prevalence" for reason in reasons),
        }
    )


def state_of(entry: Gated, now: int) -> State:
    """What it is at a time (milliseconds UTC)."""
    document = entry.document
    if entry.revoked is not None and entry.revoked.at >= document.at:
        return "revoked"
    if entry.expired is not None and (entry.released is None or entry.released.at <= entry.expired.at):
        return "expired"
    if document.valid_until and document.valid_until + GRACE_MS <= now:
        return "expired"
    if document.authority:
        return "active"
    if not entry.asked:
        return "waiting"
    if not entry.reasons:
        return "active"
    return "released" if entry.released is not None and entry.released.at >= entry.values_at else "held"


def stated(entry: Gated, before: Gated | None, now: int) -> Gated:
    """The entry as it is published: state, revision and time. Unchanged, it is `before` but for what nobody sees."""
    state = state_of(entry, now)
    told = entry.model_copy(update={"state": state})
    if before is not None and _visible(told) == _visible(before):
        return told
    return told.model_copy(update={"revision": (before.revision if before else 0) + 1, "at": now})


def _visible(entry: Gated) -> tuple[object, ...]:
    return (
        entry.state,
        entry.content,
        entry.reasons,
        entry.prevalence,
        entry.asked,
        entry.released,
        entry.expired,
        entry.revoked,
        entry.gone,
        entry.feed,
    )
