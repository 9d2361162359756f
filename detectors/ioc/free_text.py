"""Observables in free text: a message, a mail's body, a line of no known format. An option, for it guesses.

Addresses, domains, URLs, e-mail addresses, digests and IBANs, told by their form alone. Linear in the text, whose first
MAX_TEXT characters are looked at. A name whose end is a file's (`report.docx`) is no domain, and a number with a colon
behind it is a host with its port.
"""

from __future__ import annotations

import re
from typing import Final

from detectors.ioc.money_forms import iban
from detectors.ioc.observables import (
    MAX_OBSERVABLES,
    MAX_TEXT,
    address,
    file_hash,
    take_email,
    take_host,
    take_urls_inside,
)
from schemas.event import Observable

_WORDS = re.compile(r"[^\s\"'<>`{}|\\^,;()\[\]=/]{4,}")
#: As it is printed, in groups of four, or without blanks. Bounded, hence linear.
_IBANS = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_DIGESTS: Final = frozenset((32, 40, 64, 128))
_LETTERS = re.compile(r"[a-fA-F]")
_DIGITS = re.compile(r"[0-9]")
_TOP = re.compile(r"(?:[a-z]{2,24}|xn--[a-z0-9-]{2,59})\Z")
#: Ends of files' names and of words of programs that are no top-level domains.
_NO_TOPS: Final = frozenset(
    (
        "bak", "bat", "bin", "cfg", "cmd", "conf", "config", "cpp", "css", "csv", "dat", "db", "dll", "dmp", "doc",
        "docx", "ear", "err", "evtx", "exe", "gif", "gz", "htm", "html", "img", "ini", "iso", "jar", "java", "jpg",
        "js", "json", "jsp", "jsx", "key", "lnk", "lock", "log", "msi", "mui", "old", "out",
        "pcap", "pdf", "pem", "php", "pid", "png", "ppt", "pptx", "ps1", "rtf", "scr", "service", "sock", "socket",
        "sql", "svg", "swp", "sys", "tar", "temp", "timer", "tmp", "ts", "tsx", "txt", "vbs", "vhd", "war", "xls",
        "xlsx", "xml", "yaml", "yml",
    )
)  # fmt: skip


def observables_in_text(text: str, found: set[Observable]) -> None:
    """Add what the text names; stops when MAX_OBSERVABLES are found."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
        text = text[: max(text.rfind(" "), text.rfind("\n"), 0)]  # what was cut in two is not what it seems
    take_urls_inside(text, found)
    for match in _IBANS.finditer(text):
        _take_iban(match[0], found)
    for match in _WORDS.finditer(text):
        if len(found) >= MAX_OBSERVABLES:
            return
        _take_word(match[0].strip(".:!?-*#&%$~+"), found)


def _take_iban(text: str, found: set[Observable]) -> None:
    """What is printed in groups may have a word of capitals behind it: then without its last groups."""
    groups = text.split(" ")
    for size in range(len(groups), 0, -1):
        known = iban("".join(groups[:size]))
        if known is not None:
            found.add(known)
            return


def _take_word(word: str, found: set[Observable]) -> None:
    digits = word[word.rfind(":") + 1 :]  # sha256:b2b2…
    if len(digits) in _DIGESTS and _LETTERS.search(digits):
        digest = file_hash(digits)
        if digest is not None:
            found.add(digest)
            return
    if len(word) > 2 * 253:
        return
    if "@" in word:
        take_email(word.partition(":")[0], found)
    elif word.count(":") > 1:
        if _DIGITS.search(word) and address(word) is not None:
            take_host(word, found)
    elif "." in word:
        _take_name(word.partition(":")[0], found)


def _take_name(word: str, found: set[Observable]) -> None:
    top = word.rpartition(".")[2].lower()
    if top.isdigit():
        if address(word) is not None:
            take_host(word, found)
    elif top not in _NO_TOPS and (not top.isascii() or _TOP.match(top)):
        take_host(word, found)
