"""The fold of submissions: delivered twice, cut into any batches, through any restart, it comes to the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.indicator_record import Command, Document, Gated, Pair
from tests.builders import batch_of
from tests.curate import NOW, Curating, FakeSweep, document, seen_on

Said = Document | Command
IDS = st.sampled_from(("1", "2"))
NAMES = st.sampled_from((("good.example",), ("busy.example",), ("good.example", "other.example")))
WHAT = st.one_of(
    st.builds(lambda one, names, title: document(one, *names, title=title), IDS, NAMES, st.sampled_from("ab")),
    st.builds(
        lambda kind, one: Command(kind=kind, source="soc", id=one, by="a", reason="b"),
        st.sampled_from(("revoke", "release", "expire")),
        IDS,
    ),
)
#: Each is said a moment after the one before it.
SAID = st.lists(WHAT, min_size=1, max_size=8).map(
    lambda some: [one.model_copy(update={"at": NOW + number}) for number, one in enumerate(some)]
)


def outcome(said: Sequence[Said], cuts: set[int], *, from_topic: bool = False) -> dict[Pair, Gated]:
    """What comes of it, in a batch up to each cut, with a restart there; without revisions and times."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_outcome(Path(folder), said, sorted({0, *cuts, len(said)}), from_topic=from_topic))


async def _outcome(folder: Path, said: Sequence[Said], cuts: list[int], *, from_topic: bool) -> dict[Pair, Gated]:
    curating = Curating(folder, sweep=FakeSweep(seen_on("busy.example", 50)))
    for number, (start, end) in enumerate(pairwise(cuts)):
        batch = batch_of(*(one.to_bytes() for one in said[start:end]), first=start, topic="indicators")
        await curating.agent.handle(batch, lambda: None)
        if from_topic:
            await curating.agent.release()
            curating = Curating(folder / str(number), curating.topics, curating.sweep)
        else:
            curating = await curating.again()
    return {
        key: one.model_copy(update={"revision": 0, "at": 0, "document": one.document.model_copy(update={"at": 0})})
        for key, one in curating.topics.last().items()
    }


@settings(max_examples=40)
@given(SAID, st.data())
def test_duplicates_batches_and_restarts_do_not_matter(said: list[Said], data: st.DataObject) -> None:
    once = outcome(said, set())
    # Whatever is said again comes behind what it repeats.
    again = list(said)
    for place in data.draw(st.lists(st.integers(0, len(said) - 1), max_size=6)):
        after = again.index(said[place]) + 1
        again.insert(data.draw(st.integers(after, len(again))), said[place])
    cuts = data.draw(st.sets(st.integers(0, len(again)), max_size=4))
    assert outcome(again, cuts) == once


@settings(max_examples=20)
@given(SAID, st.data())
def test_a_successor_that_has_only_the_topic_goes_on_alike(said: list[Said], data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(said)), max_size=3))
    assert outcome(said, cuts, from_topic=True) == outcome(said, set())
