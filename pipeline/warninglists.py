"""The warning lists in force: those of MISP that we choose (or the settings do), and the bank's own files.

MISP's lists come with the package `pymispwarninglists` and are read from its files one by one: all of them would take
seconds and hundreds of megabytes. Left out are lists that do not mean innocence (dynamic DNS, shorteners, scanners,
disposable mail), networks that anybody can rent an attacker's machine in (the large clouds), and those of a million
names, of which most are no one's business here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from detectors.ioc.gate import Network
from detectors.ioc.warning import Kind, WarningLists
from schemas.errors import RefusedError

#: By MISP's names.
CHOSEN: Final = (
    "akamai",
    "alexa",
    "apple",
    "bank-website",
    "captive-portals",
    "cisco_top10k",
    "cloudflare",
    "common-ioc-false-positive",
    "crl-hostname",
    "crl-ip",
    "eicar.com",
    "empty-hashes",
    "fastly",
    "google",
    "google-gmail-sending-ips",
    "googlebot",
    "majestic_million",
    "microsoft",
    "microsoft-office365",
    "microsoft-office365-ip",
    "microsoft-win10-connection-endpoints",
    "moz-top500",
    "mozilla-CA",
    "mozilla-IntermediateCA",
    "nioc-filehash",
    "public-dns-v4",
    "public-dns-v6",
    "smtp-receiving-ips",
    "stackpath",
    "ti-falsepositives",
    "tranco10k",
    "university_domains",
    "wikimedia",
)
#: Of these the entries stand for themselves alone: everybody's pages lie below them.
THEMSELVES: Final = frozenset(("alexa", "majestic_million", "moz-top500", "tranco10k"))
MAX_BYTES: Final = 64 << 20


def load_lists(names: Sequence[str] = (), own: Sequence[Path] = ()) -> WarningLists:
    """The lists of these names (none: ours) and files. Raises RefusedError for one that there is not.

    A file of the bank's own has a value a line (a domain counts with all below it, a network with all inside it; `#`
    begins a comment), or is a list in MISP's JSON.
    """
    lists = WarningLists()
    folder = _folder()
    for name in names or CHOSEN:
        file = folder / name / "list.json"
        if Path(name).name != name or not file.is_file():
            raise RefusedError(
                f"warning_lists: MISP has no list {name}. Check QORGAN_WARNING_LISTS; `ls {folder}` shows all."
            )
        _take(lists, f"misp:{name}", orjson.loads(file.read_bytes()), alone=name in THEMSELVES)
    for path in own:
        _take_own(lists, path)
    return lists


def load_suffixes() -> Callable[[str], bool]:
    """Whether a name is a public suffix, by the snapshot that is shipped: nothing is ever fetched."""
    from tldextract import TLDExtract

    extract = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)

    def suffix(name: str) -> bool:
        found = extract.extract_str(name)
        return not found.domain and found.suffix == name

    return suffix


def _take(lists: WarningLists, name: str, said: dict[str, Any], *, alone: bool = False) -> None:
    kinds: dict[str, Kind] = {"string": "string", "hostname": "hostname", "cidr": "cidr"}
    kind = kinds.get(str(said.get("type")))
    if kind is None:  # `regex` and `substring` are about mail and telephones
        raise RefusedError(f"warning lists: {name} is of the kind {said.get('type')}, which is not used here.")
    lists.add(name, "string" if alone and kind == "hostname" else kind, map(str, said.get("list", ())))


def _take_own(lists: WarningLists, path: Path) -> None:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RefusedError(f"warning_files: {path} is larger than {MAX_BYTES >> 20} MB.")
        data = path.read_bytes()
        name = f"own:{path.stem}"
        if data.lstrip()[:1] == b"{":
            _take(lists, name, orjson.loads(data))
            return
        lines = [line.partition("#")[0].strip() for line in data.decode("utf-8", "replace").splitlines()]
    except OSError as error:
        raise RefusedError(f"warning_files: {path} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise RefusedError(f"warning_files: {path} is no JSON, though it begins so.") from None
    for kind in ("cidr", "hostname"):
        lists.add(name, kind, (line for line in lines if line and _kind(line) == kind))


def _kind(line: str) -> Literal["cidr", "hostname"]:
    try:
        ip_network(line, strict=False)
    except ValueError:
        return "hostname"
    return "cidr"


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as the settings write them. Raises RefusedError naming one that is none."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise RefusedError(f"own_networks: {text} is no network. Write 198.51.100.0/24.") from None
    return tuple(found)


def _folder() -> Path:
    # The package itself reads all of its lists when it is imported into use; its files are enough.
    spec = find_spec("pymispwarninglists")
    if spec is None or not spec.submodule_search_locations:
        raise RefusedError("The package pymispwarninglists is missing. Install Qorgan again.")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "misp-warninglists" / "lists"
