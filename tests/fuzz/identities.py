"""What is thrown at the readers of exports: rows of CSV, records of LDIF, leases, with pieces of each in the others."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

from pipeline.identities.build import build
from pipeline.identities.plan import Export, Plan
from pipeline.identities.versions import snapshot_of
from schemas.errors import RefusedError
from tests.identities import DHCP, FILES, HUBS, PEOPLE

LONGEST: Final = 10.0
_ISC: Final = """\
lease 10.1.0.7 {
  starts 2 2026/03/10 05:00:00;
  ends never;
  binding state active;
  hardware ethernet 02:00:00:00:00:05;
  client-hostname "WS-5";
}
"""
_SEEDS: Final = (
    ("people", "csv", PEOPLE), ("people", "ldif", FILES["ipa.ldif"][1]), ("assets", "csv", FILES["assets.csv"][1]),
    ("dhcp", "csv", DHCP), ("dhcp", "isc", _ISC), ("hubs", "csv", HUBS), ("uids", "csv", FILES["uids.csv"][1]),
)  # fmt: skip
_PIECES: Final = (
    b"\n", b"\n\n", b"\n ", b"::", b":<", b"dn: a", b'"', b'""', b",", b";", b"\0", b"\1", b"\t", b"\xff\xfe",
    b"\xef\xbb\xbf", b"=cmd()", b"AQUAAAAA", b"changetype: add", b"9" * 40, b"a=b+" * 30, b"x" * 70_000, b"{", b"}",
    b"lease 1.1.1.1 {", b"starts 4 9999/99/99 99:99:99;", b"\r", b"::ffff:1.2.3.4", b"/0", b"\xd0", "ß".encode(),
)  # fmt: skip


def identities(random: Random) -> None:
    """Any bytes as an export: refused by name, or a snapshot in bounded time, with the rest of the rows named."""
    kind, form, text = random.choice(_SEEDS)
    data = bytearray(text.encode("utf-16") if random.random() < 0.1 else text.encode())
    for _ in range(random.randint(0, 8)):
        at = random.randrange(len(data) + 1)
        if random.random() < 0.6:
            data[at:at] = random.choice(_PIECES)
        else:
            del data[at : at + random.randint(1, 30)]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "export").write_bytes(data)
        export = Export.model_validate({"file": "export", "kind": kind, "format": form, "domain": ["a.example", "A"]})
        try:
            built = build(Plan(files=(export,)), Path(name))
        except RefusedError:
            built = None
    assert time.process_time() - start < LONGEST, bytes(data)
    if built is None:
        return
    snapshot = snapshot_of(built)
    assert all(fault.why and len(fault.why) < 200 for fault in built.gathered.faults), bytes(data)
    for raw in ("THESHIRE\\pgustavo", "10.1.0.7", "pgustavo", "1001"):
        found = snapshot.resolve(raw, raw, raw, 1_773_118_800_000, True)
        assert all(entity.isprintable() and entity.partition(":")[2] for entity in found.entities), bytes(data)
        assert found.who() is not None
