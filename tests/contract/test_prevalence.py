"""Where values were seen, as ClickHouse tells it: hosts over blocks, names below a domain, addresses in a network."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from pipeline.embedded.children import Store
from schemas.event import Observable
from sinks.clickhouse import ddl
from sinks.clickhouse.client import Address, Clients
from sinks.clickhouse.prevalence import prevalence
from tests.embedded import client

pytestmark = pytest.mark.flow

DATABASE = "prevalence"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
ROWS: tuple[tuple[str, str, list[str], int], ...] = (
    ("domain", "evil.example", ["a", "b"], 2),
    ("domain", "www.evil.example", ["b", "c"], 2),
    ("domain", "notevil.example", ["d"], 1),
    ("ipv4", "203.0.113.7", ["a"], 1),
    ("ipv4", "203.0.113.200", ["b"], 1),
    ("ipv4", "198.51.100.7", ["c"], 1),
    ("ipv6", "2001:db8::7", ["a"], 1),
    ("sha256", "a" * 64, ["a", "b"], 300),
)


@pytest.fixture(scope="module")
def asks(embedded_store: Store) -> Clients:
    speaks = client(embedded_store)
    for statement in ddl.statements(DATABASE, 93):
        speaks.command(statement)
    rows: list[list[Any]] = [[kind, value, DAY, DAY, 3, hosts, more, DAY] for kind, value, hosts, more in ROWS]
    rows.append(["ipv4", "203.0.113.7", DAY, DAY, 3, ["z"], 1, datetime(2026, 6, 1, tzinfo=UTC)])
    names = ["type", "value", "first", "last", "count", "hosts", "host_count", "received"]
    speaks.insert(f"{DATABASE}.observables", rows, column_names=names)
    at = embedded_store.store_address
    return Clients(Address(at.host, at.port, at.user, at.password.get_secret_value()))


def hosts(asks: Clients, kind: str, *values: str) -> dict[str, int]:
    found = prevalence(asks, DATABASE, [Observable(kind, value) for value in values], date(2026, 8, 1))
    return {one.value: seen.hosts for one, seen in found.items()}


def test_a_domain_counts_every_name_below_it_and_no_other(asks: Clients) -> None:
    assert hosts(asks, "domain", "evil.example", "www.evil.example", "example", "none.example") == {
        "evil.example": 3,
        "www.evil.example": 2,
        "example": 4,
    }


def test_a_network_counts_the_addresses_inside_it(asks: Clients) -> None:
    found = hosts(asks, "cidr", "203.0.113.0/24", "203.0.113.128/25", "203.0.112.0/23", "9.0.0.0/16", "2001:db8::/64")
    assert found == {"203.0.113.0/24": 2, "203.0.113.128/25": 1, "203.0.112.0/23": 2, "2001:db8::/64": 1}


def test_hosts_that_a_block_did_not_name_count_too(asks: Clients) -> None:
    assert hosts(asks, "sha256", "a" * 64) == {"a" * 64: 300}


def test_what_is_older_than_the_day_does_not_count(asks: Clients) -> None:
    (seen,) = prevalence(asks, DATABASE, [Observable("ipv4", "203.0.113.7")], date(2026, 8, 1)).values()
    assert (seen.hosts, seen.count, seen.samples) == (1, 3, ("a",))
    assert (seen.first, seen.last) == (int(DAY.timestamp() * 1000),) * 2


def test_more_values_than_fit_one_question_are_all_answered(asks: Clients) -> None:
    many = [f"9.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in range(30_000)]
    assert hosts(asks, "ipv4", "203.0.113.7", *many, "198.51.100.7") == {"203.0.113.7": 1, "198.51.100.7": 1}
