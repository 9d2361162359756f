"""The snapshot of networks and their places, read from files that the bank supplies: CSV with a header.

    network,latitude,longitude,country,kind        one of our own; `kind` and `radius` (km) may be left out
    203.0.113.0/24,43.24,76.89,KZ,
    198.51.100.0/24,,,NL,vpn                       vpn, mobile, tor, proxy: where it is says nothing of who is behind

MaxMind's GeoLite2-City-Blocks-IPv4.csv and -IPv6.csv are read as they are; a file of the second kind goes beside them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from enrichers.geo import NO_PLACES, Networks, Places, RowError, add_row
from schemas.errors import RefusedError
from schemas.identity import short_hash

MAX_NETWORKS: Final = 12_000_000
#: Characters of one line.
MAX_LINE: Final = 10_000


def load_places(paths: Sequence[Path]) -> Places:
    """Read the files; a snapshot is kept while they stay as they are. Raises RefusedError, naming file and line."""
    if not paths:
        return NO_PLACES
    try:
        about = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    except OSError as error:
        raise RefusedError(f"{error.filename} cannot be read ({error.strerror}). Check QORGAN_GEO.") from None
    return _places(about)


@lru_cache(maxsize=1)
def _places(about: tuple[tuple[Path, int, int], ...]) -> Places:
    located, elsewhere = Networks(), Networks()
    for path, *_ in about:
        try:
            _read(path, located, elsewhere)
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"{path} cannot be read ({error}). Check QORGAN_GEO.") from None
    return Places(located, elsewhere, short_hash("places", *map(str, about)))


def _read(path: Path, located: Networks, elsewhere: Networks) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline(MAX_LINE)
        names = [name.strip().lower() for name in next(csv.reader([header]), [])]
        if "network" not in names or not ({"latitude", "longitude"} <= {*names} or "kind" in names):
            raise RefusedError(f"{path}:1: it has no columns network, latitude, longitude, or network, kind.")
        rows = csv.reader(iter(lambda: file.readline(MAX_LINE), ""))
        try:
            for row in rows:
                if row:
                    add_row(dict(zip(names, row, strict=False)), located, elsewhere)
                if len(located) + len(elsewhere) > MAX_NETWORKS:
                    raise RefusedError(f"{path} makes it more than {MAX_NETWORKS:,} networks.")
        except (RowError, csv.Error) as error:
            raise RefusedError(f"{path}:{rows.line_num + 1}: a network is refused: {error}.") from None
