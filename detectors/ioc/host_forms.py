r"""Normal forms of what is found on hosts: digests, files, fingerprints, registry keys, mutexes, accounts.

The same contract as `network_forms`. Windows compares paths and keys without case, and feeds write them in any: paths,
names, keys and accounts are folded to lower case, on Linux too (`/TMP/x` for `/tmp/x` is no loss). A path with a
variable of the environment (`%TEMP%\a.exe`) stays as it is written, and is found where an event writes it so.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.event import Observable

MAX_PATH = 1_024
MAX_AGENT = 1_024
MAX_NAME = 255

_HASH_TYPES: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_CERTIFICATES: Final = (32, 40, 64)
_HEX = re.compile(r"[0-9a-fA-F]+\Z")
_SSDEEP = re.compile(r"[0-9]{1,12}:[A-Za-z0-9/+]{1,128}:[A-Za-z0-9/+]{1,128}\Z")
#: JA4 and its kin: t13d1516h2_8daaf6152771_b186095e22b6.
_JA4 = re.compile(r"[a-z0-9]{4,12}(?:_[a-z0-9]{4,12}){1,3}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[a-z]:[\\/]")
#: What people and services put around a path, and what the kernel and `\\\\?\\` put before it.
_BLANKS: Final = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_EDGES: Final = _BLANKS + "\"'"
_DEVICES: Final = ("\\??\\", "\\\\?\\", "\\\\.\\")
_OUTER: Final = (*_EDGES, *_DEVICES)
_SLASHES = re.compile(r"\\{2,}")
_NO_NAMES: Final = frozenset({"", "-", ".", "..", "n/a", "(null)", "null", "none", "unknown", "<unknown process>"})
_MUTEX_ROOTS = re.compile(r"(?:\\sessions\\\d{1,5})?\\basenamedobjects\\|(?:global|local)\\", re.IGNORECASE)


def file_hash(text: str) -> Observable | None:
    """A file's digest, its type told by its length. None for zeros, which Sysmon writes for 'not computed'."""
    if len(text) > 256:
        return None
    text = text.strip()
    kind = _HASH_TYPES.get(len(text))
    if kind is None or not _HEX.match(text) or not text.strip("0"):
        return None
    return Observable(kind, text.lower())


def imphash(text: str) -> Observable | None:
    """A digest of a program's imports: 32 hexadecimal digits, not all zero."""
    return _md5("imphash", text)


def ja3(text: str) -> Observable | None:
    """A JA3 or JA3S fingerprint: an MD5."""
    return _md5("ja3", text)


def _md5(kind: str, text: str) -> Observable | None:
    known = file_hash(text)
    return Observable(kind, known.value) if known is not None and known.type == "md5" else None


def ja4(text: str) -> Observable | None:
    """A JA4 fingerprint, or one of its kin (JA4S, JA4H, JA4X): parts joined by `_`."""
    text = text.strip().lower() if len(text) <= 128 else ""
    return Observable("ja4", text) if _JA4.match(text) else None


def ssdeep(text: str) -> Observable | None:
    """A fuzzy hash, compared for equality alone. A file's name behind it goes."""
    text = text.strip().partition(",")[0].strip('"') if len(text) <= 1_024 else ""
    return Observable("ssdeep", text) if _SSDEEP.match(text) else None


def certificate(text: str) -> Observable | None:
    """A fingerprint of a certificate by MD5, SHA-1 or SHA-256; colons and blanks go."""
    text = "".join(text.replace(":", "").split()) if len(text) <= 256 else ""
    if len(text) not in _CERTIFICATES or not _HEX.match(text) or not text.strip("0"):
        return None
    return Observable("certificate", text.lower())


def file_path(text: str) -> Observable | None:
    r"""A whole path, lower case. Windows' stand with `\`, without quotes, `\??\` and doubled separators."""
    return _file_path(text) if len(text) <= MAX_PATH else None


# The same programs, keys and accounts come all day: to look one up takes a tenth of making its form.
@lru_cache(maxsize=8_192)
def _file_path(text: str) -> Observable | None:
    text = text.strip(_EDGES).lower()
    if text.startswith(_DEVICES):
        text = text[4:]
    if _DRIVE.match(text):
        text = text.replace("/", "\\")
    if "\\\\" in text:
        share = text.startswith("\\\\")
        text = ("\\" if share else "") + _SLASHES.sub(r"\\", text)
    name = last_part(text)
    if len(name) == len(text) or name in _NO_NAMES or len(text) > MAX_PATH or _CONTROL.search(text):
        return None
    return None if text.startswith(_OUTER) else Observable("file_path", text)


def last_part(path: str) -> str:
    r"""What stands behind the last `/` or `\`; all of it where there is none."""
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]


def file_name(text: str) -> Observable | None:
    """A name without its folder, lower case."""
    text = text.strip(_EDGES).lower() if len(text) <= MAX_NAME + 3 else ""
    if not 0 < len(text) <= MAX_NAME or text in _NO_NAMES or len(last_part(text)) < len(text) or _CONTROL.search(text):
        return None
    return Observable("file_name", text)


def user_agent(text: str) -> Observable | None:
    """A client's name of itself, as it stands: programs differ in case alone too."""
    text = text.strip() if len(text) <= MAX_AGENT else ""
    return None if text in _NO_NAMES or _CONTROL.search(text) else Observable("user_agent", text)


def mutex(text: str) -> Observable | None:
    r"""A named object of synchronisation, without `Global\`, `Local\` and the session's folder; case counts."""
    text = text.strip() if len(text) <= MAX_NAME + 64 else ""
    root = _MUTEX_ROOTS.match(text)
    while root is not None:
        text = text[root.end() :].strip()
        root = _MUTEX_ROOTS.match(text)
    if not 0 < len(text) <= MAX_NAME or text in _NO_NAMES or _CONTROL.search(text):
        return None
    return Observable("mutex", text)


#: The kernel's, the long and PowerShell's name of a hive → Sysmon's.
_HIVES: Final = {
    "hkey_local_machine": "hklm",
    "hkey_current_user": "hkcu",
    "hkey_users": "hku",
    "hkey_classes_root": "hkcr",
    "hkey_current_config": "hkcc",
}
_KERNEL: Final = {"machine": "hklm", "user": "hku"}
_SHORT: Final = frozenset({"hklm", "hkcu", "hku", "hkcc"})
_SID = re.compile(r"s-1-5-21-[0-9-]{1,60}(_classes)?\Z|s-1-12-1-[0-9-]{1,60}(_classes)?\Z")
_CONTROL_SET = re.compile(r"\Ahklm\\system\\controlset\d{3}(?=\\|\Z)")


def _from_hive(text: str) -> str:
    whole = text.removeprefix("computer\\")
    inside = whole.removeprefix("registry\\")
    hive, _, rest = inside.partition("\\")
    hive = (_HIVES if inside is whole else _KERNEL).get(hive.rstrip(":"), hive.rstrip(":"))
    if hive == "hkcr":
        hive, rest = "hklm", f"software\\classes\\{rest}".rstrip("\\")
    if hive not in _SHORT or not rest:
        return ""
    if hive == "hku":
        owner, _, below = rest.partition("\\")
        person = _SID.match(owner)
        if person is not None and below:
            hive = "hkcu"
            rest = f"software\\classes\\{below}" if person[1] or person[2] else below
    return _CONTROL_SET.sub(r"hklm\\system\\currentcontrolset", f"{hive}\\{rest}")


def registry_key(text: str) -> Observable | None:
    r"""A key, or a key and the name of its value, lower case, from a hive on: `hklm\software\…`.

    A person's hive (`HKU\<sid>`, `HKU\<sid>_Classes`) is HKCU, since that is what indicators can know of it; HKCR is
    the machine's classes and `ControlSet001` the current one, as Sysmon and the Security log write the same key.
    """
    return _registry_key(text) if len(text) <= MAX_PATH else None


@lru_cache(maxsize=8_192)
def _registry_key(text: str) -> Observable | None:
    text = text.strip(_EDGES + "\\").lower()
    if not text or _CONTROL.search(text):
        return None
    known = _from_hive(_SLASHES.sub(r"\\", text) if "\\\\" in text else text)
    return Observable("registry_key", known) if 0 < len(known) <= MAX_PATH else None


#: Accounts of the operating system itself, which name no one.
_SYSTEM_ACCOUNTS: Final = frozenset(
    (
        "system", "local system", "localsystem", "local service", "network service", "localservice", "networkservice",
        "anonymous logon", "anonymous", "iusr", "window manager", "система",
        "s-1-5-18", "s-1-5-19", "s-1-5-20", "s-1-5-7", "s-1-0-0",
    )
)  # fmt: skip
_SESSION_ACCOUNT = re.compile(r"(?:dwm|umfd)-\d{1,6}\Z")


def account(text: str) -> Observable | None:
    r"""An account as people are told apart: `BANK\aigerim`, `Aigerim@bank.example` and `aigerim` are one.

    None for machines (`HOST$`) and accounts of the system.
    """
    return _account(text) if len(text) <= MAX_NAME else None


@lru_cache(maxsize=8_192)
def _account(text: str) -> Observable | None:
    whole = text.strip().casefold()
    name = last_part(whole)
    if not name.startswith("@"):
        name = name.partition("@")[0]
    name = name.strip()
    if whole in _SYSTEM_ACCOUNTS or name in _SYSTEM_ACCOUNTS or name in _NO_NAMES or name.endswith("$"):
        return None
    if len(name) > MAX_NAME or _CONTROL.search(name):
        return None
    return None if _SESSION_ACCOUNT.match(name) else Observable("account", name)
