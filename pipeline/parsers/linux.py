"""What Linux programs say in a syslog message: sshd and sudo. A line that does not fit keeps its message alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from detectors.ioc.observables import address
from pipeline.parsers.shape import source
from schemas.event import Event, Source

#: Sigma's service by program.
SERVICES: Final = {
    "sshd": "sshd",
    "sshd-session": "sshd",
    "sshd-auth": "sshd",
    "sudo": "sudo",
    "su": "auth",
    "login": "auth",
    "pkexec": "auth",
    "polkitd": "auth",
    "cron": "cron",
    "crond": "cron",
    "crontab": "cron",
    "clamd": "clamav",
    "freshclam": "clamav",
    "vsftpd": "vsftpd",
    "guacd": "guacamole",
}

_AUTH: Final = (4, 10)
_CRON: Final = 9

#: Longer messages are not looked into: sshd's own are cut at 1 KB.
_MAX_MESSAGE: Final = 4_096

# Greedy up to the last " from …": a user name may hold " from 192.0.2.1" to put the blame elsewhere.
_LOGIN = re.compile(r"(Accepted|Failed) (\S+) for (invalid user )?(.*) from (\S+) port (\d+)", re.DOTALL)
_INVALID = re.compile(r"Invalid user (.*) from (\S+)", re.DOTALL)
_PEER = re.compile(
    r"[A-Za-z :]{1,60}? (?:from|by|with) (?:(?:authenticating|invalid) user (.*) )?([0-9a-fA-F.:]+) port (\d+)",
    re.DOTALL,
)
_PAM = re.compile(r"pam_\w+\(sshd:\w+\):.* rhost=(\S*)(?:\s+user=(\S*))?")


@lru_cache(maxsize=8_192)
def source_of(program: str, facility: int, told: Source) -> Source:
    """The log source of a line: by the program's name, else by syslog's facility (-1: none is told).

    `told`: the topic's; one of another product than Linux stands.
    """
    if told.product not in ("", "linux"):
        return told
    service = SERVICES.get(program.rpartition("/")[2].lower())
    if service is None:
        service = "auth" if facility in _AUTH else "cron" if facility == _CRON else told.service or "syslog"
    return source("linux", told.category, service)


def sshd(message: str, event: Event) -> None:
    """`user`, `src_ip`, `src_port`, `method`, `outcome`."""
    if len(message) > _MAX_MESSAGE:
        return
    fields = event.fields
    if (found := _LOGIN.match(message)) is not None:
        fields["outcome"], fields["method"], _, user, peer, port = found.groups()
        fields["src_port"] = port
    elif (found := _INVALID.match(message)) is not None:
        user, peer = found.groups()
    elif (found := _PEER.match(message)) is not None:
        user, peer, fields["src_port"] = found.groups()
    elif (found := _PAM.match(message)) is not None:
        peer, user = found.groups()
    else:
        return
    known = address(peer)
    if known is not None:
        fields["src_ip"] = peer
        event.src_ip = known.value
    if user:
        fields["user"] = event.user = user


def sudo(message: str, event: Event) -> None:
    """`alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id`: these names, and `user`."""
    user, separator, rest = message.strip().partition(" : ")
    if not separator or " " in user:
        return
    fields = event.fields
    rest, _, command = rest.partition("COMMAND=")
    for part in rest.split(" ; "):
        name, separator, value = part.strip().partition("=")
        if separator and name.isupper():
            fields[name] = value.removesuffix(" ;")
    fields["user"] = event.user = user
    if command:
        fields["COMMAND"] = event.command_line = command


PROGRAMS: Final[dict[str, Callable[[str, Event], None]]] = {"sshd": sshd, "sudo": sudo}
