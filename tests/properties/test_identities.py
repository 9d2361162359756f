"""Who is who is a function of the snapshot and the record: whatever order exports come in, as a plain search finds."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrichers import assets, leases, people
from enrichers.hubs import Hubs
from enrichers.leases import Held, Lease
from enrichers.lookups import Lookups
from enrichers.people import Account
from enrichers.table import Table, build
from enrichers.who import Snapshot

NAMES = st.sampled_from(["asel", "bolat", "dana", "a", "adm-asel"])
DOMAINS = st.sampled_from(["", "one.example", "two.example"])
FEW = st.sampled_from(["", "", "1", "2", "3"])
ACCOUNTS = st.lists(
    st.builds(
        lambda name, domain, sid, employee, upn, mail, uid, alias: Account(
            name,
            domain,
            upn=f"{upn}@one.example" if upn else "",
            mails=(f"{mail}@one.example",) if mail else (),
            sid=f"s-1-5-21-{sid}" if sid else "",
            employee=employee,
            uid=uid,
            aliases=(alias,) if alias else (),
        ),
        NAMES, DOMAINS, FEW, FEW, st.one_of(st.just(""), NAMES), st.one_of(st.just(""), NAMES), FEW,
        st.one_of(st.just(""), NAMES),
    ),
    max_size=8,
)  # fmt: skip
TEXTS = [
    *(f"{name}@{domain}" for name in ("asel", "bolat", "dana", "a") for domain in ("one.example", "two.example")),
    "asel", "bolat", "dana", "a", "adm-asel", "s-1-5-21-1", "s-1-5-21-2",
]  # fmt: skip


def plainly_persons(accounts: Sequence[Account]) -> list[frozenset[Account]]:
    """Accounts joined as long as any two groups share what links."""
    groups = [{each} for each in set(accounts)]

    def linked(one: Account, other: Account) -> bool:
        same = one.whole == other.whole
        pairs = ((one.sid, other.sid), (one.upn, other.upn), (one.employee, other.employee))
        return same or any(mine and mine == theirs for mine, theirs in pairs)

    changed = True
    while changed:
        changed = False
        for at, mine in enumerate(groups):
            for other in groups[at + 1 :]:
                if any(linked(a, b) for a in mine for b in other):
                    mine |= other
                    groups.remove(other)
                    changed = True
                    break
            if changed:
                break
    return [frozenset(group) for group in groups]


def plainly_claimed(text: str, accounts: Sequence[Account]) -> frozenset[Account] | None:
    """The one person whom a text names by the best kind of claim; None where there is none, or several."""
    groups = plainly_persons(accounts)
    kinds = (
        lambda each: text == each.sid,
        lambda each: text == each.upn,
        lambda each: bool(each.domain) and text == each.whole,
        lambda each: text in each.mails,
        lambda each: text in (each.name, *each.aliases),
    )
    for claims in kinds:
        found = [group for group in groups if any(claims(each) for each in group)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


@given(ACCOUNTS)
def test_a_text_names_whom_a_plain_search_finds_and_no_other(accounts: list[Account]) -> None:
    entries = people.tabled(accounts)
    called: dict[str, frozenset[Account]] = {}
    for text in TEXTS:
        how, _, owner = entries.get("u" + text, "\t").partition("\t")
        expected = plainly_claimed(text, accounts)
        assert (expected is None) is (how in ("", "ambiguous")), (text, how)
        if expected is not None:
            # One name for one person, whatever the text; two persons have two names.
            assert called.setdefault(owner, expected) == expected
    assert len(set(called.values())) == len(called)
    assert {frozenset(group) for group in people.persons(accounts)} == set(plainly_persons(accounts))


@given(ACCOUNTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(accounts: list[Account], chance: Any) -> None:
    mixed = [*accounts, *accounts[:2]]
    chance.shuffle(mixed)
    assert people.tabled(mixed) == people.tabled(accounts)
    assert build(people.tabled(mixed)) == build(people.tabled(accounts))


ASSETS = st.lists(
    st.builds(
        lambda name, suffix, address, criticality: assets.Asset(
            name, f"{name}.{suffix}" if suffix else "", (address,) if address else (), criticality=criticality
        ),
        st.sampled_from(["pay", "ws", "db"]),
        DOMAINS,
        st.sampled_from(["", "10.0.0.1", "10.0.0.2"]),
        st.sampled_from(assets.CRITICALITY),
    ),
    max_size=6,
)


@given(ASSETS, st.randoms(use_true_random=False))
def test_a_host_is_found_by_what_it_alone_has_in_any_order(kept: list[assets.Asset], chance: Any) -> None:
    entries = assets.tabled(kept, ())
    snapshot = Snapshot("r", 0, Lookups(assets=Table(build(entries))))
    wholes = {each.whole for each in kept}
    for name in ("pay", "ws", "db"):
        bearers = {each.whole for each in kept if each.name == name}
        found = snapshot.host(name, 0)
        # A list that has a host both with and without its domain has two hosts, of which one is known by its name.
        expected = {0: "unknown", 1: "name"}.get(len(bearers), "ambiguous")
        assert found.how == expected
    for address in ("10.0.0.1", "10.0.0.2"):
        holders = {each.whole for each in kept if address in each.addresses}
        found = snapshot.host(address, 0)
        assert found.how == {0: "unknown", 1: "address"}.get(len(holders), "ambiguous")
        if len(holders) == 1:
            concerned = snapshot.lookups.concerned([found.label])
            assert concerned is not None
            assert concerned.name in wholes & holders
    chance.shuffle(kept)
    assert assets.tabled(kept, ()) == entries


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10), st.sampled_from("abc")), max_size=8))
def test_a_lease_at_any_time_is_what_a_plain_search_finds(said: list[tuple[int, int, str]]) -> None:
    rows = [Lease("10.0.0.1", start, start + length, host) for start, length, host in said]
    entries = leases.tabled(rows)
    assert leases.tabled(rows[::-1]) == entries
    if not rows:
        return
    held = Held(entries["10.0.0.1"])
    seen: dict[int, set[tuple[str, str, str]]] = {}
    for time in range(-1, 32):
        begun = max((each.start for each in rows if each.start <= time), default=None)
        expected = {each[3:] for each in rows if each.start == begun and time < each.end}
        assert {(host, mac, user) for host, mac, user in held.at(time)} == expected
        assert seen.setdefault(bisect_right(sorted(held.bounds()), time), expected) == expected


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda t: "\0" not in t and "\1" not in t and t.isprintable()), st.text("ab\t")
    ),
    st.text(),
)
def test_a_table_is_a_dictionary(entries: Mapping[str, str], other: str) -> None:
    table = Table(build(entries))
    assert dict(table.items()) == entries
    for key in (*entries, other):
        assert table.get(key) == entries.get(key)


@given(st.lists(st.tuples(st.integers(0, 1 << 10), st.integers(24, 32)), max_size=8), st.integers(0, 1 << 10))
def test_a_hub_is_what_lies_in_one_of_its_networks(said: list[tuple[int, int]], address: int) -> None:
    networks = [ipaddress.ip_network((0x0A000000 + start, length), strict=False) for start, length in said]
    asked = ipaddress.ip_address(0x0A000000 + address)
    assert Hubs(map(str, networks)).holds_address(str(asked)) is any(asked in network for network in networks)


@given(st.text(), st.text(), st.text(), st.integers(0, 1 << 45), st.booleans())
def test_no_text_makes_resolving_raise_and_asking_twice_says_the_same(
    host: str, user: str, source: str, time: int, numbers: bool
) -> None:
    accounts = [Account("asel", "one.example", uid="5")]
    snapshot = Snapshot("r", 0, Lookups(people=Table(build(people.tabled(accounts))), domains={"one": "one.example"}))
    found = snapshot.resolve(host, user, source, time, numbers)
    assert found == snapshot.resolve(host, user, source, time, numbers)
    assert all(entity.partition(":")[2] for entity in found.entities)
    assert found.who() is not None
