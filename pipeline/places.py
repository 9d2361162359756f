"""The snapshot of networks and their places, read from files that the bank supplies: CSV with a header.

    network,latitude,longitude,country,kind        one of our own; `kind` and `radius` (km) may be left out
    203.0.113.0/24,43.24,76.89,KZ,
    198.51.100.0/24,,,NL,vpn                       vpn, mobile, tor, proxy: where it is says nothing of who is behind

MaxMind's GeoLite2-City-Blocks-IPv4.csv and -IPv6.csv are read as they are; a file of the second kind goes beside them.
So are databases in MaxMind's format (*.mmdb), of cities and of anonymous addresses; what a CSV says stands before them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from maxminddb import InvalidDatabaseError, Reader, open_database

from enrichers.geo import NO_PLACES, Networks, Places, RowError, Rows
from schemas.errors import RefusedError
from schemas.identity import short_hash

MMDB: Final = ".mmdb"
MAX_NETWORKS: Final = 12_000_000
#: Characters of one line.
MAX_LINE: Final = 10_000
_EVERY: Final = 1_000
#: The last snapshot: rules are loaded again far more often than networks change, and millions take many seconds.
_kept: Final[list[Places]] = []


def load_places(paths: Sequence[Path], pause: Callable[[], None] = lambda: None) -> Places:
    """Read the files; a snapshot is kept while they stay as they are. Raises RefusedError, naming file and line.

    `pause` is called now and then, so that who loads beside a stream can leave it the processor.
    """
    if not paths:
        return NO_PLACES
    try:
        about = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    except OSError as error:
        raise RefusedError(f"{error.filename} cannot be read ({error.strerror}). Check QORGAN_GEO.") from None
    revision = short_hash("places", *map(str, about))
    if _kept and _kept[0].revision == revision:
        return _kept[0]
    located, elsewhere = Networks(), Networks()
    databases = [_open(path) for path in paths if path.suffix == MMDB]
    for path in paths:
        if path.suffix == MMDB:
            continue
        try:
            _read(path, located, elsewhere, pause)
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"{path} cannot be read ({error}). Check QORGAN_GEO.") from None
    asked = [_asking(database) for database in databases]
    nodes = sum(database.metadata().node_count for database in databases)
    _kept[:] = [Places(located, elsewhere, revision, asked, nodes)]
    return _kept[0]


def _open(path: Path) -> Reader:
    """A database, mapped into memory."""
    try:
        return open_database(path)
    except (OSError, ValueError, InvalidDatabaseError):  # its own text may quote the file's bytes
        raise RefusedError(f"{path} is no database in MaxMind's format. Check QORGAN_GEO.") from None


def _asking(database: Reader) -> Callable[[str], Any]:
    """A damaged record, or an IPv6 address in a database without them, says nothing."""

    def ask(address: str) -> Any:
        try:
            asked = ip_address(address.strip().strip("[]").partition("%")[0])
            return database.get(getattr(asked, "ipv4_mapped", None) or asked)
        except (ValueError, InvalidDatabaseError):
            return None

    return ask


def _read(path: Path, located: Networks, elsewhere: Networks, pause: Callable[[], None]) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(iter(lambda: file.readline(MAX_LINE), ""))
        try:
            rows = Rows([name.strip().lower() for name in next(lines, [])], located, elsewhere)
            for row in lines:
                if row:
                    rows.add(row)
                if not lines.line_num % _EVERY:
                    pause()
                    if len(located) + len(elsewhere) > MAX_NETWORKS:
                        raise RefusedError(f"{path} makes it more than {MAX_NETWORKS:,} networks.")
        except (RowError, csv.Error) as error:
            raise RefusedError(f"{path}:{max(1, lines.line_num)}: a row is refused: {error}.") from None
