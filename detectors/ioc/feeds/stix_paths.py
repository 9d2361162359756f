"""STIX object paths → our types: what of an observed object is an observable here, as a table.

A path is written in lower case without quotation marks; hashes without dashes. Directions (`src_ref`, `dst_ref`) do
not survive: an observable is what an event holds, not which end of the connection it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from detectors.ioc.feeds.entry import ForeignError
from detectors.ioc.indicators import normal
from schemas.event import Observable

#: Not types, but parts of one: a folder and a name are a path, a key and a value's name are a key.
DIRECTORY: Final = "+directory"
VALUE_NAME: Final = "+value"
#: Says what kind of address is meant, which the address does too.
KIND: Final = "+kind"
_HOST: Final = "+host"

_PATHS: Final = {
    "ipv4-addr:value": "ipv4",
    "ipv6-addr:value": "ipv6",
    "domain-name:value": "domain",
    "domain-name:resolves_to_refs[*].value": _HOST,
    "url:value": "url",
    "email-addr:value": "email",
    "email-message:from_ref.value": "email",
    "email-message:sender_ref.value": "email",
    "file:name": "filename",
    "file:parent_directory_ref.path": DIRECTORY,
    "process:name": "filename",
    "process:image_ref.name": "filename",
    "process:binary_ref.name": "filename",
    "process:image_ref.parent_directory_ref.path": DIRECTORY,
    "windows-registry-key:key": "registry_key",
    "windows-registry-key:values.name": VALUE_NAME,
    "windows-registry-key:values[*].name": VALUE_NAME,
    "windows-registry-key:values[0].name": VALUE_NAME,
    "mutex:name": "mutex",
    "user-account:user_id": "account",
    "user-account:account_login": "account",
    "network-traffic:src_ref.value": _HOST,
    "network-traffic:dst_ref.value": _HOST,
    "network-traffic:src_ref.type": KIND,
    "network-traffic:dst_ref.type": KIND,
    "network-traffic:extensions.http-request-ext.request_header.user-agent": "user_agent",
    "network-traffic:extensions.http-request-ext.request_header.host": _HOST,
}
_HASHED: Final = re.compile(
    r"(file|artifact|process:image_ref|process:binary_ref|x509-certificate)[:.]hashes\.([a-z0-9_-]+)"
)
_HASHES: Final = ("md5", "sha1", "sha256", "sha512", "ssdeep", "imphash")
#: STIX has no place for these fingerprints; this is how producers write them.
_FINGERPRINT: Final = re.compile(
    r"network-traffic:(?:extensions\.[a-z0-9_-]+\.)?(?:x[_-])?(?:tls_)?(ja[34])(?:[_-](?:hash|md5|fingerprint))?"
)
_KINDS: Final = ("ipv4-addr", "ipv6-addr", "domain-name")


@lru_cache(maxsize=256)
def kind_of(path: str) -> str:
    """What `observed` makes of the path's values. Raises ForeignError, which names the path."""
    written = path.replace("'", "").lower()
    known = _PATHS.get(written) or _PATHS.get(written.removesuffix("[*]").removesuffix("[0]"))
    if known:
        return known
    if (hashed := _HASHED.fullmatch(written)) is not None:
        name = re.sub("[_-]", "", hashed[2])
        if hashed[1] == "x509-certificate" and name in _HASHES[:4]:
            return "certificate"
        if hashed[1] != "x509-certificate" and name in _HASHES:
            return name
    if (fingerprint := _FINGERPRINT.fullmatch(written)) is not None:
        return fingerprint[1]
    raise ForeignError(f"the path {path[:80]}")


def observed(kind: str, text: str) -> Observable:
    """A path's value as an observable, or as a part of one. Raises ValueError."""
    if kind == _HOST:
        try:
            return normal("ip", text)
        except ValueError:
            return normal("domain", text)
    if kind == KIND and text not in _KINDS:
        raise ForeignError("a type of address that is none of " + ", ".join(_KINDS))
    if kind in (DIRECTORY, VALUE_NAME) and not text.strip("\\/ "):
        raise ValueError("an empty part of a path")
    return Observable(kind, text) if kind.startswith("+") else normal(kind, text)


def joined(row: set[Observable]) -> set[Observable]:
    """A row without parts: each is put to what it is a part of. Raises ForeignError for one that stands alone."""
    row = {one for one in row if one.type != KIND}
    for part, whole, made in ((DIRECTORY, "file_name", "file_path"), (VALUE_NAME, "registry_key", "registry_key")):
        parts = [one for one in row if one.type == part]
        if not parts:
            continue
        wholes = [one for one in row if one.type == whole]
        if len(parts) > 1 or len(wholes) != 1:
            raise ForeignError(
                "a folder without just one file's name" if part == DIRECTORY else "a value without its key"
            )
        first, last = (parts[0].value, wholes[0].value) if part == DIRECTORY else (wholes[0].value, parts[0].value)
        mark = "/" if "/" in first and "\\" not in first else "\\"
        row = row - {parts[0], wholes[0]} | {normal(made, f"{first.rstrip(mark)}{mark}{last}")}
    if not row:
        raise ForeignError("a pattern without a value to look for")
    return row
