"""`qorgan formats` tells of a file what a worker would see; headers of files reach every line; the page is whole."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from pipeline import formats_page, recordings
from pipeline.cli.main import app
from pipeline.offline import near_ms, read
from pipeline.parsers import Reader
from pipeline.parsers.devices import DEVICES
from pipeline.parsers.formats import SHAPES
from pipeline.recognising import UNREAD, recognise
from pipeline.settings import Settings, TopicSettings
from schemas.event import Event

ZEEK = """#separator \\x09
#set_separator\t,
#path\tconn
#open\t2026-10-11-22-14-15
#fields\tts\tuid\tid.orig_h\tid.resp_h
#types\ttime\tstring\taddr\taddr
1791738855.003000\tC1\t10.0.0.5\t203.0.113.9
1791738856.003000\tC2\t10.0.0.6\t203.0.113.9
#close\t2026-10-11-23-00-00
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "f.log"


def seen(file: Path, *topics: TopicSettings, most: int = 1_000) -> dict[str, dict[str, object]]:
    rows = list(recognise(Settings(topics=topics), [str(file)], "raw.new", most))
    assert len({str(row["format"]) for row in rows}) == len(rows)
    return {str(row["format"]): row for row in rows}


def events(file: Path, *topics: TopicSettings) -> list[Event]:
    settings = Settings(topics=topics)
    headed = settings.for_topic("raw.new").headed
    found: list[Event] = []
    for lines in recordings.read(str(file), headed=headed):
        reading = read(Reader(settings), "raw.new", lines, near_ms(str(file)))
        assert not reading.dead
        found += reading.events
    return found


# --- headers


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_a_zeek_logs_header_is_said_to_each_of_its_lines(file: Path, chunk: int) -> None:
    file.write_text(ZEEK)
    lines = [line for some in recordings.read(str(file), chunk) for line in zip(*some, strict=True)]
    head = b"#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.resp_h\n"
    assert lines == [(7, head + ZEEK.encode().split(b"\n")[6]), (8, head + ZEEK.encode().split(b"\n")[7])]
    assert [(event.source.service, event.src_ip) for event in events(file)] == [
        ("conn", "10.0.0.5"),
        ("conn", "10.0.0.6"),
    ]


def test_a_new_header_in_the_middle_counts_from_there_on(file: Path) -> None:
    file.write_text(ZEEK + "#separator \\x09\n#path\tdns\n#fields\tts\tuid\tquery\n1791738855.003\tC3\tevil.example\n")
    assert [(event.source.service, event.domain) for event in events(file)][-1] == ("dns", "evil.example")


def test_the_first_line_of_csv_names_the_values_of_the_others(file: Path) -> None:
    file.write_text("time,host,user\n2026-10-11 22:14:15,srv01,dana\n2026-10-11 22:14:16,srv02,arman\n")
    topic = TopicSettings(topic="raw.new", format="csv", product="acme")
    assert [(event.offset, event.host, event.user) for event in events(file, topic)] == [
        (2, "srv01", "dana"), (3, "srv02", "arman")]  # fmt: skip


def test_a_file_without_header_is_left_alone(file: Path) -> None:
    file.write_text("<13>#fields\tno\n#comment\n")
    assert [line for some in recordings.read(str(file)) for line in some.values] == [b"<13>#fields\tno", b"#comment"]


# --- recognising


def test_what_a_file_holds_is_told_format_by_format(file: Path) -> None:
    eve = {"event_type": "dns", "timestamp": "2026-10-11T17:14:15Z", "flow_id": 1, "src_ip": "10.0.0.5"}
    odd = {"meta": {"at": "2026-10-11 22:14:15"}, "x": 1}
    lines = [orjson.dumps(eve), orjson.dumps({**eve, "event_type": "flow", "timestamp": "2026-10-11T18:14:15Z"}),
             orjson.dumps(odd), b'{"a":', b"hello"]  # fmt: skip
    file.write_bytes(b"\n".join(lines))
    rows = seen(file)
    assert list(rows) == ["eve", "json", UNREAD]
    assert rows["eve"]["records"] == 2
    assert rows["eve"]["share"] == 0.4
    assert rows["eve"]["sources"] == ["suricata/dns/dns 1", "suricata//flow 1"]
    assert (rows["eve"]["from"], rows["eve"]["to"]) == ("2026-10-11T17:14:15.000Z", "2026-10-11T18:14:15.000Z")
    assert (rows["eve"]["columns"], rows["eve"]["advice"]) == ({"src_ip": 1.0}, [])
    assert (rows["json"]["line"], rows["json"]["timeless"]) == (3, 1)
    assert (rows[UNREAD]["line"], rows[UNREAD]["reasons"]) == (4, {"json": 1, "format": 1})


def advice(file: Path, text: str, form: str, *topics: TopicSettings) -> str:
    file.write_text(text)
    said = seen(file, *topics)[form]["advice"]
    assert isinstance(said, list)
    return "; ".join(said)


def test_what_settings_would_help_is_said(file: Path) -> None:
    unknown = advice(file, '{"meta": {"at": "2020-10-11 22:14:15"}, "x": 1}\n', "json")
    assert '"meta.at"' in unknown
    assert "product, category, service" in unknown
    assert "columns (host" in unknown
    told = TopicSettings(topic="raw.new", product="acme", columns={"time": "meta.at", "host": "x"})
    assert "product" not in advice(file, '{"meta": {"at": "2026-10-11 22:14:15"}, "x": 1}\n', "json", told)
    assert 'format = "csv"' in advice(file, "a;b;c\n1;2;3\n", UNREAD)
    assert 'delimiter = ";"' in advice(file, "a;b;c\n1;2;3\n", UNREAD)
    assert "zeek_tsv" in advice(file, "1791738855.003\tC1\t10.0.0.5\t5\n", UNREAD)
    assert "one object a line" in advice(file, '{\n"a": 1\n}\n', UNREAD)


def test_no_more_lines_are_looked_at_than_asked_for(file: Path) -> None:
    file.write_text("<13>x\n" * 100)
    assert seen(file, most=7)["syslog"]["records"] == 7


def test_the_command_answers_programs_and_says_by_its_code_whether_all_was_read(file: Path) -> None:
    file.write_text(ZEEK)
    done = CliRunner().invoke(app, ["formats", "detect", str(file), "--json"])
    assert done.exit_code == 0
    assert [json.loads(line)["format"] for line in done.stdout.splitlines()] == ["zeek_tsv"]
    file.write_text("hello\n")
    assert CliRunner().invoke(app, ["formats", "detect", str(file)]).exit_code == 1
    done = CliRunner().invoke(app, ["formats", "list", "--json"])
    assert [json.loads(line)["format"] for line in done.stdout.splitlines()] == list(SHAPES)


# --- the page


def test_every_format_is_told_of_whole() -> None:
    for row in formats_page.rows():
        empty = [name for name, text in row.items() if not text and name != "settings"]
        assert not empty, (row["format"], empty)


def test_every_device_can_be_met() -> None:
    """A line behind a wider one of the same vendor would never count."""
    for number, device in enumerate(DEVICES):
        hiding = [
            other
            for other in DEVICES[:number]
            if device.vendor.startswith(other.vendor)
            and device.product.startswith(other.product)
            and other.kind in device.kind
        ]
        assert not hiding, (device, hiding)
