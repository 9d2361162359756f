"""Who sends CEF, LEEF and their like: log source by vendor, product and kind of record, as a table. Add a line.

What a topic's settings say goes before it. Of a vendor that stands in no line the names themselves are the log source.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.parsers.shape import source
from schemas.event import Source


class Device(NamedTuple):
    """A line: what vendor and product begin with and what the kind of record holds ('' fits all), and the source."""

    vendor: str
    product: str
    kind: str
    source: tuple[str, str, str]


def _device(line: str) -> Device:
    vendor, product, kind, told = line.split("|")
    system, category, service = told.split("/")
    return Device(vendor, product, kind, (system, category, service))


#: The first line that fits counts, so a vendor's special kinds stand before what else it sends.
DEVICES: Final = tuple(
    _device(line)
    for line in (
        "fortinet|fortigate|traffic|fortigate/firewall/traffic",
        "fortinet|fortigate|webfilter|fortigate/proxy/webfilter",
        "fortinet|fortigate|virus|fortigate/antivirus/virus",
        "fortinet|fortigate|dns|fortigate/dns/dns",
        "fortinet|fortigate|ips|fortigate/ids/ips",
        "fortinet|fortigate|anomaly|fortigate/ids/anomaly",
        "fortinet|fortigate|event|fortigate//event",
        "fortinet|fortigate||fortigate//utm",
        "fortinet|fortiweb||fortiweb/webserver/attack",
        "fortinet|forticlient||forticlient/antivirus/virus",
        "palo alto|globalprotect||paloalto/appliance/globalprotect",
        "palo alto||globalprotect|paloalto/appliance/globalprotect",
        "palo alto||traffic|paloalto/firewall/traffic",
        "palo alto||url|paloalto/proxy/url",
        "palo alto||virus|paloalto/antivirus/virus",
        "palo alto||wildfire|paloalto/antivirus/wildfire",
        "palo alto||threat|paloalto/ids/threat",
        "palo alto|||paloalto//pan-os",
        "check point|url filtering||checkpoint/proxy/url",
        "check point|anti||checkpoint/antivirus/anti-malware",
        "check point|threat emulation||checkpoint/antivirus/threat-emulation",
        "check point|ips||checkpoint/ids/ips",
        "check point|smartdefense||checkpoint/ids/ips",
        "check point|||checkpoint/firewall/vpn-1",
        "cisco|umbrella||cisco/dns/umbrella",
        "cisco|wsa||cisco/proxy/wsa",
        "cisco|secure web||cisco/proxy/wsa",
        "cisco|firepower||cisco/ids/firepower",
        "cisco|asa||cisco/firewall/asa",
        "cisco|adaptive||cisco/firewall/asa",
        "cisco|ise||cisco//aaa",
        "cisco|identity services||cisco//aaa",
        "juniper|||juniper/firewall/junos",
        "huawei|||huawei/firewall/usg",
        "sonicwall|||sonicwall/firewall/sonicos",
        "sophos|xg||sophos/firewall/xg",
        "sophos|firewall||sophos/firewall/xg",
        "sophos|||sophos/antivirus/endpoint",
        "watchguard|||watchguard/firewall/firebox",
        "usergate||waf|usergate/webserver/waf",
        "usergate||web|usergate/proxy/web",
        "usergate|||usergate/firewall/traffic",
        "zscaler|nssfw||zscaler/firewall/nssfw",
        "zscaler|nssdns||zscaler/dns/nssdns",
        "zscaler|||zscaler/proxy/nssweb",
        "blue coat|||bluecoat/proxy/proxysg",
        "bluecoat|||bluecoat/proxy/proxysg",
        "symantec|proxysg||bluecoat/proxy/proxysg",
        "squid|||squid/proxy/access",
        "forcepoint|ngfw||forcepoint/firewall/ngfw",
        "forcepoint|||forcepoint/proxy/security",
        "websense|||forcepoint/proxy/security",
        "mcafee|web gateway||mcafee/proxy/web-gateway",
        "skyhigh|||mcafee/proxy/web-gateway",
        "mcafee|||mcafee/antivirus/endpoint",
        "trellix|||mcafee/antivirus/endpoint",
        "kaspersky|||kaspersky/antivirus/endpoint",
        "eset|||eset/antivirus/endpoint",
        "symantec|||symantec/antivirus/endpoint",
        "broadcom|||symantec/antivirus/endpoint",
        "trend micro|||trendmicro/antivirus/endpoint",
        "doctor web|||drweb/antivirus/endpoint",
        "dr.web|||drweb/antivirus/endpoint",
        "bitdefender|||bitdefender/antivirus/endpoint",
        "microsoft|windows defender||microsoft/antivirus/defender",
        "infoblox|||infoblox/dns/nios",
        "bluecat|||bluecat/dns/bdds",
        "f5|||f5/webserver/asm",
        "imperva|||imperva/webserver/waf",
        "citrix|netscaler||citrix/webserver/netscaler",
        "positive technologies|application firewall||ptaf/webserver/waf",
        "suricata|||suricata/ids/alert",
        "snort|||snort/ids/alert",
        "fireeye|||fireeye/ids/alert",
    )
)


@lru_cache(maxsize=8_192)
def device_source(vendor: str, product: str, kind: str, told: Source) -> Source:
    """The source of a device's record; what the topic tells counts instead where it tells anything."""
    if told.product or told.category:
        return told
    said = vendor.lower(), product.lower(), kind.lower()
    for device in DEVICES:
        if said[0].startswith(device.vendor) and said[1].startswith(device.product) and device.kind in said[2]:
            return source(*device.source)
    return source(said[0], "", said[1])
