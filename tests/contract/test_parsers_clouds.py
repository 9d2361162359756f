"""Clouds and platforms: each record is told as its format, with its time, user, address, log source and observables."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.parsers.formats import JSON_SHAPES, MARKS, tell
from schemas.event import Source
from tests import clouds
from tests.clouds import AT_MS, CLIENT, CLOUDS
from tests.parsing import event
from tests.shippers import EVENTS, SHIPPERS


@pytest.mark.parametrize("name", CLOUDS)
def test_a_record_has_its_log_source_time_user_and_address(name: str) -> None:
    form, product, category, service, user, made = CLOUDS[name]
    found = event(made())
    assert found.format.name == form
    assert found.source == Source(product, category, service, 0)
    assert (found.time_ms, found.doubtful) == (AT_MS, False)
    assert found.user == user
    if name not in ("Microsoft 365 sign-in", "Microsoft 365 alert"):
        assert found.src_ip == CLIENT
        assert ("ipv4", CLIENT) in found.observables


def samples() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every JSON sample of these tests, and its format."""
    sent = {
        f"{how}: {name}": (form, make(one)) for how, (form, make) in SHIPPERS.items() for name, one in EVENTS.items()
    }
    return sent | {name: (form, made()) for name, (form, *_, made) in CLOUDS.items()}


@pytest.mark.parametrize("name", samples())
def test_a_record_is_told_as_its_own_format_and_only_as_it(name: str) -> None:
    """So the order in which formats are asked decides nothing but the time that asking takes.

    Two take what the others leave, and are asked last: flat Windows events under whatever names, and any object.
    """
    form, doc = samples()[name]
    told = [shape.format.name for shape in JSON_SHAPES if shape.sniff(doc)]
    assert [name for name in told if name not in ("windows", "json")] == ([] if form == "windows" else [form])
    assert told[0] == form
    known = tell(doc)
    assert known is not None
    assert known.format.name == form, "the keys by which a format is looked for"
    assert [shape.format.name for shape in JSON_SHAPES[-2:]] == ["windows", "json"]


def test_marks_are_of_formats_that_there_are() -> None:
    assert set(MARKS) < {shape.format.name for shape in JSON_SHAPES}
    assert not {"windows", "json"} & set(MARKS)


def test_a_client_with_a_port_and_one_of_version_six_are_addresses() -> None:
    assert event(clouds.microsoft365()).src_ip == CLIENT
    assert event(clouds.microsoft365() | {"ClientIP": "[2001:db8::9]:49152"}).src_ip == "2001:db8::9"
    assert event(clouds.microsoft365() | {"ClientIP": "not an address"}).src_ip == ""


def test_names_and_values_in_lists_are_fields_and_never_hide_a_records_own() -> None:
    doc = clouds.microsoft365_signin()
    doc["ExtendedProperties"].append({"Name": "UserId", "Value": "eve"})
    found = event(doc)
    assert (found.fields["RequestType"], found.fields["UserId"]) == ("OAuth2:Authorize", clouds.DANA)


def test_an_impersonated_user_is_who_acts() -> None:
    assert event(clouds.kubernetes() | {"impersonatedUser": {"username": "root"}}).user == "root"


def test_status_is_told_where_rules_ask_for_it() -> None:
    assert event(clouds.cloudtrail()).fields["status"] == "success"
    assert event(clouds.cloudtrail() | {"errorCode": "AccessDenied"}).fields["status"] == "failure"
    assert event(clouds.microsoft365()).fields["status"] == "success"
    assert event(clouds.azure_signin()).fields["Status"] == ["Failure", "None"]


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("odd", [None, [], {}, "x", 1, [None], [[{}]], {"a": {"b": []}}])
def test_any_value_in_any_place_leaves_an_event(name: str, odd: Any) -> None:
    """A shipper may send anything: no record becomes a fault."""
    whole = CLOUDS[name][-1]()
    for field in whole:
        event(whole | {field: odd})
