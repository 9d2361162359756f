"""The Linux machines of the bank: people over SSH, administrators with sudo, the audit daemon's single records.

Near-misses: a wrong password on the VPN, sudo to read a log, an audited `tar` of the night's backup, `curl` to our own
package mirror.
"""

from __future__ import annotations

from typing import Final

from pipeline.demo.cast import REALM, Host
from pipeline.demo.scene import LINUX, Message, Scene
from pipeline.demo.shapes import syslog

_SERVICES: Final = ("svc_backup", "svc_monitor", "svc_abs", "svc_deploy")
_SUDO: Final = (
    "/usr/bin/systemctl status colvir-app", "/usr/bin/journalctl -u nginx --since today",
    "/usr/bin/less /var/log/messages",
    "/usr/bin/dnf check-update", "/usr/sbin/ss -tlnp", "/usr/bin/tail -n 200 /opt/abs/log/app.log",
)  # fmt: skip
#: (program, arguments) as the audit daemon writes EXECVE.
_AUDITED: Final = (
    ("/usr/bin/tar", ("tar", "-czf", "/backup/abs-nightly.tgz", "/opt/abs/conf")),
    ("/usr/bin/rsync", ("rsync", "-a", "/backup/", "srv-fs-02:/backup/lnx/")),
    ("/usr/bin/curl", ("curl", "-sf", f"https://mirror.{REALM}/repodata/repomd.xml")),
    ("/usr/bin/systemctl", ("systemctl", "is-active", "sshd")),
    ("/usr/bin/ls", ("ls", "-la", "/opt/abs/log")),
    ("/usr/bin/grep", ("grep", "-c", "ORA-", "/opt/abs/log/app.log")),
    ("/usr/bin/ps", ("ps", "aux")),
)
_PATHS: Final = ("/opt/abs/log/app.log", "/etc/hosts", "/opt/payments/out/report.xml", "/etc/nginx/nginx.conf")


def line(host: Host, time_ms: int, app: str, pid: int, message: str) -> Message:
    """One syslog line of `host`, in its shape."""
    return Message(LINUX, host.name.encode(), syslog(host, time_ms, app, pid, message), time_ms)


def accepted(scene: Scene, host: Host, time_ms: int, user: str, source: str, method: str = "publickey") -> Message:
    """sshd lets somebody in."""
    text = f"Accepted {method} for {user} from {source} port {scene.number(32_768, 60_999)} ssh2"
    if method == "publickey":
        text += f": ED25519 SHA256:{scene.rng.getrandbits(250):043x}"[:62]
    return line(host, time_ms, "sshd", scene.number(1_000, 32_000), text)


def ssh_login(scene: Scene, time_ms: int) -> Message:
    """An administrator or a service logs in, with a key, from where it should."""
    host = scene.pick(scene.unix)
    if scene.rng.random() < 0.5:
        return accepted(scene, host, time_ms, scene.pick(_SERVICES), f"10.40.3.{scene.number(1, 16)}")
    person = scene.pick(scene.admins)
    return accepted(scene, host, time_ms, person.account, scene.seat(person).ip)


def ssh_session(scene: Scene, time_ms: int) -> Message:
    """A session of sshd is opened or closed."""
    host, user = scene.pick(scene.unix), scene.pick(_SERVICES)
    state = "opened" if scene.rng.random() < 0.5 else "closed"
    tail = "(uid=0)" if state == "opened" else ""
    text = f"pam_unix(sshd:session): session {state} for user {user}{tail}"
    return line(host, time_ms, "sshd", scene.number(1_000, 32_000), text)


def ssh_mistyped(scene: Scene, time_ms: int) -> Message:
    """An employee mistypes the password once."""
    person, host = scene.pick(scene.admins), scene.pick(scene.unix)
    source, port = scene.seat(person).ip, scene.number(32_768, 60_999)
    text = f"Failed password for {person.account} from {source} port {port} ssh2"
    return line(host, time_ms, "sshd", scene.number(1_000, 32_000), text)


def sudo(host: Host, time_ms: int, pid: int, user: str, command: str) -> Message:
    """sudo writes down what it does."""
    text = f"{user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}"
    return line(host, time_ms, "sudo", pid, text)


def admin_sudo(scene: Scene, time_ms: int) -> Message:
    """An administrator looks after a service."""
    person, host = scene.pick(scene.admins), scene.pick(scene.unix)
    return sudo(host, time_ms, scene.number(1_000, 32_000), person.account, scene.pick(_SUDO))


def audit_stamp(time_ms: int, serial: int) -> str:
    """The part of an audit record that says when, and which records belong together."""
    return f"audit({time_ms // 1000}.{time_ms % 1000:03}:{serial})"


def execve(host: Host, time_ms: int, serial: int, arguments: tuple[str, ...]) -> Message:
    """An audit EXECVE record."""
    words = " ".join(f'a{n}="{word}"' for n, word in enumerate(arguments))
    text = f"type=EXECVE msg={audit_stamp(time_ms, serial)}: argc={len(arguments)} {words}"
    return line(host, time_ms, "audispd", 812, text)


def syscall(
    host: Host, time_ms: int, serial: int, program: str, *, auid: int, key: str = "exec", tty: str = "(none)"
) -> Message:
    """An audit SYSCALL record of an execve."""
    name = program.rpartition("/")[2]
    text = (
        f"type=SYSCALL msg={audit_stamp(time_ms, serial)}: arch=c000003e syscall=59 success=yes exit=0 "
        f"a0=5581d0c3b2a0 a1=5581d0c3c4e0 a2=5581d0c30010 a3=8 items=2 ppid={1_000 + serial % 900} "
        f"pid={2_000 + serial % 29_000} auid={auid} uid={auid} gid={auid} euid={auid} suid={auid} fsuid={auid} "
        f'egid={auid} sgid={auid} fsgid={auid} tty={tty} ses={serial % 400} comm="{name}" exe="{program}" key="{key}"'
    )
    return line(host, time_ms, "audispd", 812, text)


def opened(host: Host, time_ms: int, serial: int, name: str) -> Message:
    """An audit PATH record: the file that the system call of the same serial number touched."""
    text = (
        f'type=PATH msg={audit_stamp(time_ms, serial)}: item=0 name="{name}" inode={400_000 + serial % 90_000} '
        "dev=fd:00 mode=0100640 ouid=0 ogid=990 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0"
    )
    return line(host, time_ms, "audispd", 812, text)


def audited(scene: Scene, time_ms: int) -> Message:
    """The audit daemon notes an ordinary program, as one of its records."""
    host, (program, arguments) = scene.pick(scene.unix), scene.pick(_AUDITED)
    serial = scene.number(10_000, 900_000)
    kind = scene.rng.random()
    if kind < 0.45:
        return execve(host, time_ms, serial, arguments)
    if kind < 0.55:
        return opened(host, time_ms, serial, scene.pick(_PATHS))
    return syscall(host, time_ms, serial, program, auid=scene.number(1_001, 1_020))
