"""What the bank's Suricata sees: flows, names, TLS, web requests, and the noise of low alerts every day.

Near-misses: big uploads to our own mail provider and to the second data centre, alerts about software updates.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.demo.programs import NAMES
from pipeline.demo.scene import NETWORK, Message, Scene
from pipeline.demo.shapes import eve, iso

_AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Microsoft-CryptoAPI/10.0",
    "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.33",
)
_PATHS: Final = ("/", "/index.html", "/ocsp", "/msdownload/update/v3/static/trustedr/en/authrootstl.cab", "/api/rates")
#: (id, text): categories that are noise in every network.
_NOISE: Final = (
    (2013028, "ET INFO curl User-Agent Outbound"),
    (2027390, "ET INFO Microsoft Connection Test"),
    (2025275, "ET INFO Windows OS Submitting USB Metadata to Microsoft"),
    (2210054, "SURICATA STREAM excessive retransmissions"),
)


def tuple_of(scene: Scene, source: str, target: str, port: int, proto: str = "TCP") -> dict[str, Any]:
    """The addresses of one flow."""
    return {
        "flow_id": scene.rng.getrandbits(50),
        "src_ip": source,
        "src_port": scene.number(49_152, 65_535),
        "dest_ip": target,
        "dest_port": port,
        "proto": proto,
    }


def record(time_ms: int, event_type: str, addresses: dict[str, Any], /, **body: Any) -> Message:
    """One EVE record; keyed by nothing, as a sensor's file shipper does."""
    return Message(NETWORK, None, eve(time_ms, event_type, addresses, **body), time_ms)


def flow(
    scene: Scene, time_ms: int, source: str, target: str, port: int, up: int, down: int, app: str = "tls"
) -> Message:
    """A flow that ended; `up` and `down` are bytes from and to the source."""
    addresses = tuple_of(scene, source, target, port)
    counts = {
        "pkts_toserver": up // 1_400 + 4,
        "pkts_toclient": down // 1_400 + 4,
        "bytes_toserver": up,
        "bytes_toclient": down,
        "start": iso(time_ms - scene.number(100, 60_000)).replace("Z", "000+0000"),
        "end": iso(time_ms).replace("Z", "000+0000"),
        "age": scene.number(0, 60),
        "state": "closed",
        "reason": "timeout",
        "alerted": False,
    }
    tcp = {"tcp_flags": "1b", "syn": True, "fin": True, "ack": True, "state": "closed"}
    return record(time_ms, "flow", addresses, app_proto=app, flow=counts, tcp=tcp)


def _desk(scene: Scene) -> str:
    return str(scene.pick(scene.workstations).ip)


def _outside(scene: Scene) -> str:
    return f"198.18.{scene.number(0, 256)}.{scene.number(1, 255)}"


def daily_flow(scene: Scene, time_ms: int) -> Message:
    """A flow of every day, now and then a large one to where large ones go."""
    if scene.rng.random() < 0.02:
        return flow(scene, time_ms, "10.30.3.2", "10.60.3.2", 445, scene.number(10**8, 10**9), 40_000, "smb")
    up, down = scene.number(600, 40_000), scene.number(1_000, 900_000)
    return flow(scene, time_ms, _desk(scene), _outside(scene), 443, up, down)


def name(scene: Scene, time_ms: int) -> Message:
    """A DNS query on the wire."""
    asked = scene.pick(NAMES)
    query = {"type": "query", "id": scene.number(0, 65_536), "rrname": asked, "rrtype": "A", "tx_id": 0, "opcode": 0}
    return record(time_ms, "dns", tuple_of(scene, _desk(scene), "10.30.1.1", 53, "UDP"), dns=query)


def tls(scene: Scene, time_ms: int) -> Message:
    """A TLS handshake."""
    asked = scene.pick(NAMES)
    body = {
        "subject": f"CN={asked}",
        "issuerdn": "C=US, O=DigiCert Inc, CN=DigiCert Global G2 TLS RSA SHA256 2020 CA1",
        "serial": "0A:57:1C:0D:7E:2B",
        "fingerprint": "d2:8c:1f:5a:44:e0:9b:71:3c:0e:aa:52:1b:90:c3:5d:70:6b:11:fe",
        "sni": asked,
        "version": "TLS 1.3",
        "ja3": {"hash": "cd08e31494f9531f560d64c695473da9"},
    }
    return record(time_ms, "tls", tuple_of(scene, _desk(scene), _outside(scene), 443), tls=body)


def web(scene: Scene, time_ms: int) -> Message:
    """A web request without encryption."""
    body = {
        "hostname": scene.pick(NAMES),
        "url": scene.pick(_PATHS),
        "http_user_agent": scene.pick(_AGENTS),
        "http_content_type": "text/html",
        "http_method": "GET",
        "protocol": "HTTP/1.1",
        "status": 200,
        "length": scene.number(200, 90_000),
    }
    return record(time_ms, "http", tuple_of(scene, _desk(scene), _outside(scene), 80), http=body)


def alert(
    scene: Scene, time_ms: int, addresses: dict[str, Any], signature: tuple[int, str], severity: int, category: str
) -> Message:
    """A Suricata alert; severity 1 is the gravest."""
    body = {
        "action": "allowed",
        "gid": 1,
        "signature_id": signature[0],
        "rev": 3,
        "signature": signature[1],
        "category": category,
        "severity": severity,
    }
    return record(time_ms, "alert", addresses, app_proto="http", alert=body)


def noise(scene: Scene, time_ms: int) -> Message:
    """An alert that nobody reads."""
    addresses = tuple_of(scene, _desk(scene), _outside(scene), 80)
    return alert(scene, time_ms, addresses, scene.pick(_NOISE), 3, "Misc activity")
