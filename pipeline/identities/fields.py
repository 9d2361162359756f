"""How exports call our fields, by kind: columns of a CSV and attributes of an LDIF, without case.

The first that a file has counts; `columns` of a plan names others. Names are those of Active Directory's and FreeIPA's
schemas, `Get-ADUser` and Microsoft Graph's user, Kea's memfile and `Get-DhcpServerv4Lease`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

Names = Mapping[str, Sequence[str]]

_LEASES: Final[Names] = {
    "address": ("address", "ipaddress", "ip"),
    "start": ("start", "starts", "begin"),
    "end": ("end", "ends", "expire", "leaseexpirytime"),
    "seconds": ("valid_lifetime",),
    "host": ("hostname", "host"),
    "mac": ("hwaddr", "mac", "clientid"),
    "user": ("user", "username"),
    "state": ("state", "addressstate"),
}

FIELDS: Final[Mapping[str, Names]] = {
    "people": {
        "name": ("samaccountname", "uid", "onpremisessamaccountname", "account", "login", "username", "name"),
        "upn": ("userprincipalname", "krbprincipalname", "upn"),
        "mail": ("proxyaddresses", "mail", "emailaddress", "email"),
        "sid": ("objectsid", "sid", "onpremisessecurityidentifier", "ipantsecurityidentifier"),
        "object_id": ("objectguid", "id", "objectid", "ipauniqueid"),
        "dn": ("dn", "distinguishedname", "onpremisesdistinguishedname"),
        "employee": ("employeeid", "employeenumber"),
        "uid": ("uidnumber",),
        "alias": ("alias", "aliases"),
        "person": ("person",),
        "enabled": ("enabled", "accountenabled"),
        "disabled": ("nsaccountlock", "disabled"),
        "control": ("useraccountcontrol",),
        "display": ("displayname", "cn"),
        "department": ("department", "departmentnumber", "ou"),
        "title": ("title", "jobtitle"),
        "class": ("objectclass",),
    },
    "uids": {"host": ("host", "hostname"), "uid": ("uid", "uidnumber"), "account": ("account", "name", "login")},
    "assets": {
        "name": ("name", "hostname", "computername", "samaccountname", "cn"),
        "fqdn": ("fqdn", "dnshostname"),
        "address": ("address", "addresses", "ip", "ipaddress", "ipv4address", "iphostnumber"),
        "mac": ("mac", "macaddress"),
        "alias": ("alias", "aliases"),
        "criticality": ("criticality",),
        "owner": ("owner", "managedby"),
        "environment": ("environment",),
        "process": ("process", "processes", "business_process", "business_processes"),
        "class": ("objectclass",),
    },
    "processes": {
        "id": ("id",),
        "name_kk": ("name_kk",),
        "name_ru": ("name_ru",),
        "name_en": ("name_en",),
        "owner": ("owner",),
        "deputy": ("deputy", "deputies"),
        "criticality": ("criticality",),
    },
    "dhcp": _LEASES,
    "vpn": _LEASES,
    "hubs": {"network": ("network", "address"), "name": ("name", "host"), "kind": ("kind",)},
}

#: Fields of which a row may have several, in one column.
SEVERAL: Final = frozenset({"mail", "alias", "address", "mac", "process", "deputy", "class"})
#: Of each kind at least one of these must be there.
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "people": ("name", "upn"),
    "uids": ("uid",),
    "assets": ("name", "fqdn"),
    "processes": ("id",),
    "dhcp": ("address",),
    "vpn": ("address",),
    "hubs": ("network", "name"),
}
#: Of entries that say their classes those that are of a kind; and classes that are none of it, though derived from one.
CLASSES: Final[Mapping[str, frozenset[str]]] = {
    "people": frozenset({"user", "person", "inetorgperson", "posixaccount", "organizationalperson"}),
    "assets": frozenset({"computer", "ipahost", "device"}),
}
NOT: Final[Mapping[str, frozenset[str]]] = {"people": CLASSES["assets"], "assets": frozenset()}
