"""curate polls: files when they change, feeds at their intervals, anything when asked; a bad poll leaves what was."""

from __future__ import annotations

from pathlib import Path

import orjson

from detectors.ioc.feeds import Fault
from pipeline import polling
from pipeline.gated import TOPIC
from pipeline.polling import Polling
from pipeline.settings import Settings
from schemas.feed import FeedSettings
from schemas.indicator_record import SETTLED_KEY, Poll
from tests.curate import Curating

GOOD = "type,value,id\ndomain,one.example,1\ndomain,two.example,2\n"


class Scene:
    """Files and one feed below a folder, a clock to turn."""

    def __init__(self, folder: Path, *feeds: FeedSettings) -> None:
        self.files = folder / "files"
        self.files.mkdir()
        (self.files / "a.csv").write_text(GOOD)
        self.curating = Curating(folder / "state")
        self.polling = Polling(
            Settings(indicators=(self.files,), rules_watch=5),
            feeds,
            self.curating.agent,
            self.curating.catalogue,
            self.curating.metrics,
            clock=self.curating.seconds,
            wall=self.curating.seconds,
        )

    async def step(self, seconds: float = 0.0) -> dict[str, str]:
        await self.curating.agent.take_over()
        self.curating.now += int(seconds * 1000)
        await self.polling.step()
        return self.curating.topics.states()

    def settled(self) -> list[dict[str, object]]:
        records = self.curating.topics.records.get(TOPIC, [])
        return [orjson.loads(one.value) for one in records if one.key == SETTLED_KEY]


async def test_files_are_taken_in_at_once_and_when_they_have_changed(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.step() == {"1": "active", "2": "active"}
    (scene.files / "a.csv").write_text("type,value,id\ndomain,two.example,2\ndomain,three.example,3\n")
    assert "3" not in await scene.step(1), "looked at every five seconds"
    assert "3" not in await scene.step(5), "it may still be being written"
    assert await scene.step(5) == {"1": "revoked", "2": "active", "3": "active"}
    assert len(scene.settled()) == 1


async def test_a_broken_file_leaves_what_was(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.step()
    (scene.files / "a.csv").write_text("type,value\nipv4,x\nipv4,y\nipv4,z\n")
    await scene.step(5)
    assert await scene.step(5) == {"1": "active", "2": "active"}
    assert scene.curating.metrics["feed_faults_total"].labels(feed="files", what="poll")._value.get() == 1


def feed(folder: Path, **also: object) -> FeedSettings:
    (folder / "cert.csv").write_text("type,value,id\ndomain,state.example,s\n")
    said = {"name": "regulator", "kind": "csv", "path": folder / "cert.csv", "owner": "cert", "interval": 60, **also}
    return FeedSettings.model_validate(said)


async def test_a_feed_is_polled_at_its_interval_and_when_asked(tmp_path: Path) -> None:
    scene = Scene(tmp_path, feed(tmp_path, snapshot=True))
    assert (await scene.step())["s"] == "active"
    (tmp_path / "cert.csv").write_text("type,value,id\ndomain,new.example,n\n")
    assert "n" not in await scene.step(30)
    assert (await scene.step(30))["n"] == "active"
    assert scene.curating.topics.states()["s"] == "revoked", "of a snapshot, what is missing is withdrawn"
    (tmp_path / "cert.csv").write_text("type,value,id\ndomain,newer.example,m\n")
    asked = Poll(feed="regulator", at=scene.curating.now + 5)
    scene.polling.ask(asked)
    assert (await scene.step())["m"] == "active"
    assert scene.settled()[-1]["asked"] == asked.at


async def test_where_there_are_no_files_nobody_waits_for_feeds(tmp_path: Path) -> None:
    scene = Scene(tmp_path, feed(tmp_path, path=tmp_path / "missing.csv"))
    del scene.polling._states["files"]
    await scene.step()
    assert [one["polled"] for one in scene.settled()] == [{}]


async def test_a_question_is_answered_without_polling(tmp_path: Path) -> None:
    scene = Scene(tmp_path, feed(tmp_path))
    await scene.step()
    scene.polling.ask(Poll(feed="-", at=7))
    (tmp_path / "cert.csv").write_text("type,value,id\ndomain,new.example,n\n")
    assert "n" not in await scene.step()
    assert scene.settled()[-1]["asked"] == 7


async def test_a_feed_that_cannot_be_polled_is_told_and_tried_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, feed(tmp_path, path=tmp_path / "missing.csv"))
    assert await scene.step() == {"1": "active", "2": "active"}
    scene.polling.ask(Poll(feed="regulator", at=7))
    await scene.step()
    assert "regulator" in str(scene.settled()[-1]["faults"])
    (tmp_path / "missing.csv").write_text("type,value,id\ndomain,state.example,s\n")
    assert (await scene.step(60))["s"] == "active"


def test_of_a_million_faults_the_first_are_kept_and_all_are_counted() -> None:
    faults = polling._Faults()
    for place in range(0, 10_000, 100):
        faults.add(Fault(f"line {place + number}", "no value", "bad") for number in range(100))
        faults.add([Fault("x", "a file's path", "foreign")])
    assert faults.count == 10_000
    assert [fault.where for fault in faults.named] == [f"line {number}" for number in range(polling.NAMED)]
