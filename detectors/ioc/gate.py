"""The gate before activation: why an indicator would find the innocent. Every reason is named, none hides another.

What is held here is released by a person with a reason. Each value is judged for itself; one bad value holds the whole
indicator, since half of a pattern is another pattern.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

from detectors.ioc.warning import WarningLists
from schemas.event import Observable
from schemas.indicator_record import Reason, Seen

Network = IPv4Network | IPv6Network

#: Wider than this is no indicator: a /8 is a 256th of all IPv4 addresses; of IPv6 a /32 is what a registry gives to
#: one whole provider, so what is wider names several of them.
WIDEST_V4: Final = 8
WIDEST_V6: Final = 32
#: Networks that mean nobody in particular. Those of documentation (RFC 5737, 3849) are not among them: nobody has them.
SPECIAL: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
)
HASHES: Final = frozenset(("md5", "sha1", "sha256", "sha512", "imphash", "ssdeep", "ja3", "certificate"))
#: Digests of nothing: of an empty file, an empty import table, an empty handshake.
EMPTY: Final = frozenset([hashlib.new(name, b"").hexdigest() for name in ("md5", "sha1", "sha256", "sha512")] + ["3::"])
_PROGRAMS: Final = (
    "svchost.exe lsass.exe csrss.exe smss.exe wininit.exe winlogon.exe services.exe explorer.exe taskhost.exe "
    "taskhostw.exe dwm.exe conhost.exe spoolsv.exe rundll32.exe regsvr32.exe dllhost.exe cmd.exe powershell.exe "
    "pwsh.exe wscript.exe cscript.exe mshta.exe msiexec.exe wmiprvse.exe wmic.exe net.exe net1.exe sc.exe reg.exe "
    "schtasks.exe tasklist.exe taskkill.exe whoami.exe ipconfig.exe ping.exe nslookup.exe certutil.exe "
    "bitsadmin.exe notepad.exe userinit.exe sihost.exe ctfmon.exe fontdrvhost.exe runtimebroker.exe "
    "searchindexer.exe audiodg.exe msbuild.exe installutil.exe regasm.exe mmc.exe netsh.exe curl.exe ntdll.dll "
    "kernel32.dll kernelbase.dll user32.dll advapi32.dll shell32.dll ole32.dll ws2_32.dll wininet.dll iexplore.exe "
    "msedge.exe chrome.exe firefox.exe outlook.exe winword.exe excel.exe acrord32.exe java.exe javaw.exe python.exe "
    "bash sh dash zsh sshd ssh sudo su systemd init cron crond ls cat cp mv rm ps grep sed awk find tar gzip curl "
    "wget python python3 perl java dbus-daemon rsyslogd "
)
#: Programs that every Windows or Linux host runs: a name or place like this tells nothing.
SYSTEM_FILES: Final = frozenset(_PROGRAMS.split())
_NETWORKS: Final = ("ipv4", "ipv6", "cidr")


class Bounds(NamedTuple):
    """What the bank says: hosts on which a value may have been seen, and which networks are its own."""

    hosts: int = 25
    own: tuple[Network, ...] = ()


class Gate:
    """The gate with everything that it looks up. `suffix`: whether a name is a public suffix."""

    def __init__(self, bounds: Bounds, lists: WarningLists, suffix: Callable[[str], bool]) -> None:
        self._bounds, self._lists, self._suffix = bounds, lists, suffix
        self._spans = [
            (rule, [(_span(network), str(network)) for network in networks])
            for rule, networks in (("special_network", SPECIAL), ("own_network", bounds.own))
        ]

    def reasons(self, values: Sequence[Observable], seen: Mapping[Observable, Seen]) -> list[Reason]:
        """Every reason to hold an indicator of these values; none lets it pass. `seen`: those that were seen at all."""
        return [reason for value in values for reason in self._of(value, seen.get(value))]

    def _of(self, value: Observable, seen: Seen | None) -> Iterator[Reason]:
        kind, text = value
        if seen is not None and seen.hosts > self._bounds.hosts:
            yield _reason("prevalence", value, f"seen on {seen.hosts:,} hosts, more than {self._bounds.hosts:,}")
        if kind in _NETWORKS:
            yield from self._network(value)
        elif kind == "domain" and self._suffix(text):
            yield _reason("public_suffix", value, "everybody's names lie below it")
        elif kind in HASHES and text in EMPTY:
            yield _reason("empty_file", value, "the digest of nothing")
        elif kind in ("file_name", "file_path") and _last(text) in SYSTEM_FILES and _at_home(kind, text):
            yield _reason("system_file", value, "a program that hosts run all day")
        for name in self._lists.holding(value):
            yield _reason("warning_list", value, name)

    def _network(self, value: Observable) -> Iterator[Reason]:
        try:
            network = ip_network(value.value, strict=False)
        except ValueError:
            return  # refused where values are normalised
        widest = WIDEST_V4 if network.version == 4 else WIDEST_V6
        if value.type == "cidr" and network.prefixlen <= widest:
            yield _reason("wide_network", value, f"/{network.prefixlen}; narrower than /{widest} is judged")
        first, last = _span(network)
        for rule, spans in self._spans:
            known = next((text for span, text in spans if span[0] <= last and first <= span[1]), None)
            if known is not None:
                yield _reason(rule, value, known)


def _span(network: Network) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and last address, comparable among versions: `ipaddress` itself takes ten times as long to compare."""
    version = network.version
    return (version, int(network.network_address)), (version, int(network.broadcast_address))


def _last(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].lower()


def _at_home(kind: str, path: str) -> bool:
    """A system file's path counts where such files lie; elsewhere it is what an attacker would hope nobody sees."""
    folder = path.replace("\\", "/").rpartition("/")[0].lower()
    homes = ("/windows/system32", "/windows/syswow64", "/windows", "/bin", "/sbin", "/usr/bin", "/usr/sbin")
    return kind == "file_name" or folder.removeprefix("c:") in homes


def _reason(rule: str, value: Observable, detail: str) -> Reason:
    return Reason.model_validate({"rule": rule, "type": value.type, "value": value.value, "detail": detail})
