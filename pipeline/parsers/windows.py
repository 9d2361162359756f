"""What all Windows formats end in: the names that Sigma rules use, one source, the same columns and observables.

`Channel`, `EventID` (a number), `Provider_Name`, `Computer`, and every item of EventData or UserData by its own name.
Names with spaces (Defender's `Threat Name`) stand without them too: rules write them so.
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import (
    Rows,
    take_account,
    take_answers,
    take_hashes,
    take_mutex,
    take_path,
    take_registry,
    take_url,
    take_urls_inside,
)
from pipeline.parsers.clock import moment
from pipeline.parsers.shape import MAX_EVENT_ID, Topic, address_of, event_number, first_of, windows_source
from schemas.event import Event, Format

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

_HOST = first_of("Computer", "Hostname")
_USER = first_of("User", "SubjectUserName", "TargetUserName", "UserName", "SourceUser", "AccountName")
_LOGON_USER = first_of("TargetUserName", "SubjectUserName", "User", "UserName", "AccountName")
#: The user as whom a program starts; Windows names it beside the one who started it where they are two.
_START_USER = first_of("TargetUserName", "SubjectUserName", "User", "UserName")
_USERS = dict.fromkeys(_LOGONS, _LOGON_USER) | {4688: _START_USER}
_SRC_IP = address_of("SourceIp", "IpAddress", "SourceAddress", "ClientAddress", "ClientIP", "Address")
_DST_IP = address_of("DestinationIp", "DestAddress", "DestinationAddress")
_PROCESS = first_of("Image", "NewProcessName", "ProcessName", "SourceImage", "Application", "ImagePath")
_COMMAND = first_of("CommandLine", "ProcessCommandLine")
_DOMAIN = first_of("QueryName", "DestinationHostname")


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
    known = windows_source(channel, number)
    if topic.bare:
        return Event(0, raw, form, known, fields, 0, 0)
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
        _HOST(get),
        _USERS.get(number, _USER)(get),
        _SRC_IP(get),
        _DST_IP(get),
        _PROCESS(get),
        _COMMAND(get),
        _DOMAIN(get),
    )


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
