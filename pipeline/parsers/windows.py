"""What all Windows formats end in: the names that Sigma rules use, one source, the same columns and observables.

`Channel`, `EventID` (a number), `Provider_Name`, `Computer`, and every item of EventData or UserData by its own name.
Names with spaces (Defender's `Threat Name`) stand without them too: rules write them so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from detectors.ioc.observables import (
    Rows,
    address,
    take_account,
    take_answers,
    take_hashes,
    take_mutex,
    take_path,
    take_registry,
    take_url,
    take_urls_inside,
)
from detectors.sigma.channels import LINUX_SYSMON, SYSMON
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import MAX_EVENT_ID, MAX_SOURCE, Get, Topic, event_number, first, windows_source
from schemas.event import Event, Format, Source

NXLOG = Format("nxlog", "json")

#: Where observables stand, whoever ships them.
OBSERVABLES: Final[Rows] = (
    ("Image", take_path),
    ("NewProcessName", take_path),
    ("ImageLoaded", take_path),
    ("TargetFilename", take_path),
    ("TargetObject", take_registry),
    ("User", take_account),
    ("TargetUserName", take_account),
    ("Hashes", take_hashes),
    ("Hash", take_hashes),
    ("PipeName", take_mutex),
    ("ImagePath", take_path),
    ("ServiceFileName", take_path),
    ("QueryResults", take_answers),
    ("ScriptBlockText", take_urls_inside),
    ("RemoteName", take_url),
)

#: Events whose subject is the machine or a service, and whose user is the one who logs on or fails to.
_LOGONS = frozenset({4624, 4625, 4626, 4627, 4634, 4647, 4648, 4740, 4768, 4769, 4770, 4771, 4772, 4773, 4776, 4777})

_ANY_USER = "User SubjectUserName TargetUserName UserName SourceUser AccountName"
_LOGON_USER = "TargetUserName SubjectUserName User UserName AccountName"
#: The user as whom a program starts; Windows names it beside the one who started it where they are two.
_START_USER = "TargetUserName SubjectUserName User UserName"
_USERS = dict.fromkeys(_LOGONS, _LOGON_USER) | {4688: _START_USER}


class _Plan(NamedTuple):
    """Where the columns of one kind of event stand, the first that says something; an empty text: nowhere."""

    host: str = "Computer Hostname"
    user: str = _ANY_USER
    src_ip: str = "SourceIp IpAddress SourceAddress ClientAddress ClientIP Address"
    dst_ip: str = "DestinationIp DestAddress DestinationAddress"
    process: str = "Image NewProcessName ProcessName SourceImage Application ImagePath"
    command_line: str = "CommandLine ProcessCommandLine"
    domain: str = "QueryName DestinationHostname"


_Row = tuple[Any, ...]
_OF_SYSMON: Final = _Plan(user="User SourceUser AccountName", src_ip="", dst_ip="", process="Image SourceImage",
                          command_line="", domain="")  # fmt: skip
#: Sysmon's events that have more than these.
_SYSMON: Final = {
    1: _OF_SYSMON._replace(command_line="CommandLine"),
    3: _OF_SYSMON._replace(src_ip="SourceIp", dst_ip="DestinationIp", domain="DestinationHostname"),
    22: _OF_SYSMON._replace(domain="QueryName"),
}
_SECURITY: Final = _Plan(
    user="SubjectUserName TargetUserName User UserName AccountName",
    src_ip="IpAddress SourceAddress ClientAddress",
    dst_ip="DestAddress",
    process="NewProcessName ProcessName Application Image",
    command_line="CommandLine",
    domain="",
)


@lru_cache(maxsize=256)
def _taking(plan: _Plan) -> Callable[[Get], _Row]:
    """A plan as one expression over fixed names, `get("a") or get("b") or ""` for each column: an event is told by its
    number, and to ask each for what it cannot have costs as much as reading it.
    """
    columns = (" or ".join([*(f"get({name!r})" for name in names.split()), "''"]) for names in plan)
    made: Callable[[Get], _Row] = eval(f"lambda get: ({', '.join(columns)})")  # noqa: S307 - our own tables' names
    return made


@lru_cache(maxsize=16_384)
def _kind(channel: str, number: int) -> tuple[Source, _Plan, Callable[[Get], _Row]]:
    known = windows_source(channel, number)
    if known.service in (SYSMON, LINUX_SYSMON):
        plan = _SYSMON.get(number, _OF_SYSMON)
    elif known.service == "security":
        plan = _SECURITY._replace(user=_USERS.get(number, _SECURITY.user))
    else:
        plan = _Plan(user=_USERS.get(number, _ANY_USER))
    return known, plan, _taking(plan)


def windows(fields: dict[str, Any], raw: bytes, form: Format, stamp: Any, topic: Topic) -> Event:
    """The event of a Windows record whose fields have Sigma's names. `stamp`: its own time, as it was written."""
    get = fields.get
    number = fields["EventID"]
    if type(number) is not int or not 0 <= number <= MAX_EVENT_ID:
        number = event_number(number)
        if number:
            fields["EventID"] = number
    channel = get("Channel")
    # To look at every name costs; NXLog's flat records have such names in channels like `… Windows Defender/…`.
    if (form is not NXLOG or (type(channel) is str and " " in channel)) and " " in "".join(fields):
        fields.update(without_spaces(fields))
    if not channel or type(channel) is not str:
        channel = _channel_of(get("Provider_Name"))
    known, plan, take = _kind(channel[:MAX_SOURCE], number)
    if topic.bare:
        return Event(0, raw, form, known, fields, 0, 0)
    host, user, source, destination, process, command, domain = take(get)
    if "-" in (user, source, process, command, domain) or not (
        str is type(host) is type(user) is type(source) is type(destination) is type(process) is type(command)
        and type(domain) is str
    ):  # rarely: the next name of each column is asked, one by one
        row = (first(get, names.split()) for names in plan)
        host, user, source, destination, process, command, domain = row
    return Event(
        0,
        raw,
        form,
        known,
        fields,
        0,
        moment(stamp, topic.zone),
        False,
        False,
        host,
        user,
        _address(source) if source else "",
        _address(destination) if destination else "",
        process,
        command,
        domain,
    )


def _address(text: str) -> str:
    found = address(text)
    return found.value if found is not None else ""


#: Providers that write to one channel, for records that lack theirs.
_CHANNELS: Final = {
    "microsoft-windows-sysmon": "microsoft-windows-sysmon/operational",
    "microsoft-windows-security-auditing": "security",
    "microsoft-windows-powershell": "microsoft-windows-powershell/operational",
    "microsoft-windows-windows defender": "microsoft-windows-windows defender/operational",
    "microsoft-windows-taskscheduler": "microsoft-windows-taskscheduler/operational",
    "linux-sysmon": "linux-sysmon/operational",
    "powershell": "windows powershell",
    "service control manager": "system",
}


def _channel_of(provider: Any) -> str:
    return _CHANNELS.get(provider.lower(), "") if type(provider) is str else ""


def without_spaces(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields whose names hold spaces, in both ways that rules write them: `ThreatName`, `Feature_Name`."""
    spaced = [(name, value) for name, value in fields.items() if " " in name]
    return {name.replace(" ", joint): value for name, value in spaced for joint in ("", "_")}
