"""Records of the Linux audit system as the audit daemon writes them, an event in a line of test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detectors.audit.piece import Piece
from pipeline.joining import pieces
from tests.builders import batch_of
from tests.parsing import NOW_MS, READER

_CALL: Final = (
    "arch=c000003e syscall={call} success={success} exit={exit} a0={a0} a1=7ffd1 a2={a2} a3=0 items={items} "
    "ppid={ppid} pid={pid} auid=1000 uid={uid} gid=0 euid={uid} suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 "
    'comm="x" exe="{exe}" subj=unconfined key="k"'
)


def number(serial: int, ms: int = NOW_MS) -> str:
    """The audit system's number of an event."""
    return f"{ms // 1000}.{ms % 1000:03d}:{serial}"


def string(text: str) -> str:
    """A string as the kernel writes it: in quotes where it is plain, else as hexadecimal digits."""
    plain = text.isascii() and text.isprintable() and not set(text) & set('" ')
    return f'"{text}"' if plain and text else text.encode().hex().upper()


def _of(number: str, host: str, *said: tuple[str, str]) -> list[bytes]:
    node = f"node={host} " if host else ""
    return [f"{node}type={kind} msg=audit({number}): {text}".encode() for kind, text in said]


def _call(name: str, **said: str | int) -> tuple[str, str]:
    calls = {"execve": 59, "openat": 257, "connect": 42, "unlink": 87, "kill": 62}
    known = {
        "success": "yes",
        "exit": 0,
        "a0": "ffffff9c",
        "a2": "0",
        "pid": 20112,
        "ppid": 1723,
        "uid": 0,
        "exe": "/usr/bin/x",
    }
    return "SYSCALL", _CALL.format_map(known | said | {"call": calls[name]})


def started(
    serial: int, argv: Sequence[str], *, exe: str = "", cwd: str = "/srv", host: str = "srv01", ms: int = NOW_MS,
    uid: int = 0,
    ppid: int = 1723,
) -> list[bytes]:  # fmt: skip
    """A program's start, all its records in the kernel's order."""
    run = f"argc={len(argv)} " + " ".join(f"a{at}={string(one)}" for at, one in enumerate(argv))
    title = "\0".join(argv).encode().hex().upper()
    path = f'name="{exe or argv[0]}" inode=1 dev=fd:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL'
    loader = 'name="/lib64/ld-linux-x86-64.so.2" inode=2 dev=fd:00 mode=0100755 nametype=NORMAL'
    return _of(
        number(serial, ms),
        host,
        _call("execve", items=2, exe=exe or argv[0], uid=uid, pid=20_000 + serial, ppid=ppid),
        ("EXECVE", run),
        ("CWD", f"cwd={string(cwd)}"),
        ("PATH", f"item=0 {path}"),
        ("PATH", f"item=1 {loader}"),
        ("PROCTITLE", f"proctitle={title}"),
        ("EOE", ""),
    )


def written(
    serial: int, name: str, *, cwd: str = "/srv", exe: str = "/usr/bin/tee", host: str = "srv01", ms: int = NOW_MS,
    nametype: str = "CREATE", flags: str = "241", folder: str = "ffffff9c",
) -> list[bytes]:  # fmt: skip
    """A file opened to be written."""
    return _of(
        number(serial, ms),
        host,
        _call("openat", items=2, exe=exe, a0=folder, a2=flags),
        ("CWD", f"cwd={string(cwd)}"),
        ("PATH", 'item=0 name="/etc" inode=1 nametype=PARENT'),
        ("PATH", f"item=1 name={string(name)} inode=2 nametype={nametype}"),
        ("PROCTITLE", "proctitle=746565"),
        ("EOE", ""),
    )


def connected(
    serial: int, saddr: str, *, exe: str = "/usr/bin/nc", host: str = "srv01", ms: int = NOW_MS, success: str = "yes",
    result: int = 0,
) -> list[bytes]:  # fmt: skip
    """A connection begun."""
    return _of(
        number(serial, ms),
        host,
        _call("connect", items=0, exe=exe, success=success, exit=result),
        ("SOCKADDR", f"saddr={saddr}"),
        ("PROCTITLE", "proctitle=6E63"),
        ("EOE", ""),
    )


def killed(serial: int, *, host: str = "srv01", ms: int = NOW_MS) -> list[bytes]:
    """A call of which no category speaks."""
    return _of(number(serial, ms), host, _call("kill", items=0), ("PROCTITLE", "proctitle=6B"), ("EOE", ""))


def parts(*records: bytes, lane: str = "log0/raw.audit/0", first: int = 0, timestamp: int = NOW_MS) -> list[Piece]:
    """These records as a join takes them."""
    return pieces(lane, READER.read(batch_of(*records, first=first, timestamp=timestamp)).events)
