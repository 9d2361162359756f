"""Where addresses are: the smallest network counts, exits and operators say nothing, and a bad file is refused."""

from __future__ import annotations

import ipaddress
import os
import random
from pathlib import Path
from typing import Any

import pytest

from enrichers.geo import Networks, Places
from pipeline import loading
from pipeline.metrics import Metrics
from pipeline.places import load_places
from pipeline.settings import load
from schemas.errors import RefusedError
from schemas.place import Place
from tests.mmdb import database

OURS = """\
network,latitude,longitude,country,kind,radius
203.0.113.0/24,43.24,76.89,KZ,,
203.0.113.64/26,51.13,71.43,KZ,fixed,5
198.51.100.0/24,,,NL,VPN,
192.0.2.0/24,,,,,
2001:db8::/32,51.51,-0.13,GB,,1000
"""
MAXMIND = """\
network,geoname_id,registered_country_geoname_id,postal_code,latitude,longitude,accuracy_radius
1.0.0.0/24,2077456,2077456,,-33.4940,143.2104,1000
1.0.1.0/24,1814991,1814991,,,,
"""


def places(folder: Path, *texts: str) -> Places:
    files = [folder / f"{number}.csv" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return load_places(files)


def test_an_address_is_where_its_smallest_network_is(tmp_path: Path) -> None:
    found = places(tmp_path, OURS)
    almaty, astana, london = Place(43.24, 76.89, 50), Place(51.13, 71.43, 5), Place(51.51, -0.13, 1000)
    assert found.of("203.0.113.63") == found.of("203.0.113.128") == almaty.number
    assert found.of("203.0.113.64") == found.of("203.0.113.127") == astana.number
    assert found.of("::ffff:203.0.113.1") == almaty.number
    assert found.of("2001:db8:1::7") == london.number
    for elsewhere in ("203.0.112.255", "203.0.114.0", "2001:db9::", "0.0.0.0", "::", "ws-1", "", "1.2.3.4.5"):
        assert found.of(elsewhere) is None


def test_exits_and_operators_say_nothing_wherever_they_are(tmp_path: Path) -> None:
    mobile = "network,kind\n203.0.113.0/25,mobile\n2001:db8:5::/48,tor\n"
    found = places(tmp_path, OURS, mobile)
    assert found.of("198.51.100.7") is None
    assert found.of("203.0.113.7") is None
    assert found.of("203.0.113.200") is not None
    assert found.of("2001:db8:5::1") is None


def test_maxminds_blocks_are_read_as_they_are(tmp_path: Path) -> None:
    found = places(tmp_path, MAXMIND)
    assert (found.count, found.of("1.0.0.9"), found.of("1.0.1.9")) == (1, Place(-33.494, 143.2104, 1000).number, None)


def test_any_networks_in_any_order_give_what_a_plain_search_finds() -> None:
    for seed in range(20):
        chance, networks = random.Random(seed), Networks()
        rows = {}
        for value in range(60):
            length = chance.randint(20, 32)
            start = chance.randrange(1 << 12) >> (32 - length) << (32 - length)
            rows[ipaddress.ip_network((0x0A000000 + start, length))] = value
        for network, value in chance.sample(list(rows.items()), len(rows)):
            networks.add(str(network), value)
        table = networks.table(4)
        for number in range(0x0A000000 - 5, 0x0A000000 + (1 << 12) + 5):
            around = [network for network in rows if ipaddress.ip_address(number) in network]
            expected = rows[max(around, key=lambda network: network.prefixlen)] if around else -1
            assert table.find(number) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0.csv:1: a row is refused: it has no columns network, latitude"),
        ("a,b\n1,2\n", "0.csv:1: a row is refused: it has no columns"),
        ("network,kind\n203.0.113.0/33,vpn\n", "0.csv:2: a row is refused: its network is none"),
        ("network,kind\n203.0.113.1/24,vpn\n", "0.csv:2: a row is refused: its network has bits set"),
        ("network,kind\n203.0.113.0/24,vpn\nx,vpn\n", "0.csv:3: a row is refused: its network is none"),
        ("network,kind\n203.0.113.0/24,home\n", "its kind is none of fixed, mobile, proxy, tor, vpn"),
        ("network,latitude,longitude\n203.0.113.0/24,91,0\n", "its place is not on Earth"),
        ("network,latitude,longitude\n203.0.113.0/24,nan,0\n", "its place is not on Earth"),
        ("network,latitude,longitude\n203.0.113.0/24,x,0\n", "its latitude, longitude or radius is no number"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(RefusedError, match=r"0\.csv") as refused:
        places(tmp_path, text)
    assert why in str(refused.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="QORGAN_GEO"):
        load_places([tmp_path / "none.csv"])
    (tmp_path / "x.csv").write_bytes(b"network,kind\n\xff\xfe\n")
    with pytest.raises(RefusedError, match="QORGAN_GEO"):
        load_places([tmp_path / "x.csv"])


def test_a_snapshot_stays_while_its_files_do_and_another_has_another_revision(tmp_path: Path) -> None:
    first = places(tmp_path, OURS)
    assert load_places([tmp_path / "0.csv"]) is first
    (tmp_path / "0.csv").write_text(MAXMIND)
    os.utime(tmp_path / "0.csv", ns=(1, 1))
    second = load_places([tmp_path / "0.csv"])
    assert second.revision != first.revision
    assert second.of("203.0.113.1") is None


def test_a_detector_of_travel_without_a_snapshot_is_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "geo.csv").write_text(OURS)
    blind = loading.load(load(state_dir=tmp_path / "state"))
    seeing = loading.load(load(state_dir=tmp_path / "state", geo=(tmp_path / "geo.csv",)))
    assert loading.blind(blind) == ["Log-ins at places too far apart"]
    assert loading.blind(seeing) == []
    assert blind.decide.revision != seeing.decide.revision
    metrics = Metrics()
    loading.count(blind, metrics)
    assert metrics["detectors_blind"]._value.get() == 1


def city(latitude: float, longitude: float) -> dict[str, Any]:
    return {"location": {"latitude": latitude, "longitude": longitude, "accuracy_radius": 20}, "country": {}}


def test_maxminds_database_is_asked_where_a_csv_says_nothing(tmp_path: Path) -> None:
    cities, exits, own = tmp_path / "city.mmdb", tmp_path / "anonymous.mmdb", tmp_path / "own.csv"
    cities.write_bytes(
        database({"203.0.113.0/24": city(43.24, 76.89), "198.51.100.0/24": city(51.13, 71.43), "2001:db8::/32": {}})
    )
    exits.write_bytes(database({"203.0.113.128/25": {"is_anonymous": True, "is_tor_exit_node": True}}))
    own.write_text("network,latitude,longitude,kind\n198.51.100.0/25,49.8,73.1,\n198.51.100.128/25,,,mobile\n")
    found = load_places([own, cities, exits])
    assert found.count > 0
    assert found.of("203.0.113.7") == found.of("::ffff:203.0.113.7") == Place(43.24, 76.89, 20).number
    assert found.of("203.0.113.200") is None
    assert found.of("198.51.100.7") == Place(49.8, 73.1, 50).number
    assert found.of("198.51.100.200") is None
    assert (found.of("2001:db8::1"), found.of("192.0.2.1")) == (None, None)


def test_a_database_that_is_none_is_refused_and_a_damaged_record_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "city.mmdb"
    for junk in (b"", b"junk", b"\xab\xcd\xefMaxMind.com"):
        file.write_bytes(junk)
        with pytest.raises(RefusedError, match="no database in MaxMind's format"):
            load_places([file])
    whole = database({"203.0.113.0/24": city(43.24, 76.89)})
    damaged = whole.replace(b"location", b"\xff" * 8)
    file.write_bytes(damaged)
    assert load_places([file]).of("203.0.113.7") is None
    file.write_bytes(database({"203.0.113.0/24": {"location": {"latitude": "north", "longitude": 1.0}}}))
    assert load_places([file]).of("203.0.113.7") is None
