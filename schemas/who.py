"""Who a detection speaks of: what names and addresses were resolved to, how, and the asset that is concerned."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Criticality = Literal["unknown", "low", "medium", "high", "critical"]

#: How a raw value came to its entity → how sure that is, in percent. Nothing is guessed: what could be several is
#: `ambiguous` and what no snapshot knows is `unknown`; both are folded as they are without a snapshot.
HOW: Final[Mapping[str, int]] = MappingProxyType(
    {
        "sid": 100,
        "object": 100,  # Entra's object id, or the directory's objectGUID
        "dn": 100,
        "upn": 100,
        "account": 100,  # a name with its domain
        "uid": 90,  # a number on a host for which the list of numbers says whose it is
        "local": 90,  # an account of one host alone
        "mail": 90,
        "alias": 80,
        "name": 80,  # a name without a domain that one person, or one host, has
        "number": 60,  # a number of the directory, on a host of which no list speaks
        "fqdn": 100,
        "address": 90,  # in the list of assets
        "mac": 90,
        "lease": 80,  # by a lease of DHCP or a VPN at that time
        "ambiguous": 20,
        "unknown": 20,
        "hub": 100,  # many are behind it: no entity
        "nobody": 100,  # SYSTEM, `-`, loopback: no entity
    }
)


class Resolution(BaseModel):
    """One raw value resolved. The raw value itself is the detection's `host`, `user` or `src_ip`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str = Field(description="the entity's name without its type; '' where it is none")
    how: str = Field(description=f"one of {', '.join(HOW)}")
    confidence: int = Field(ge=0, le=100, description="percent")


class AssetRef(BaseModel):
    """The asset that is concerned, as the list of assets had it. `criticality` is `unknown` for one not in the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    criticality: Criticality = "unknown"
    owner: str = ""
    environment: str = ""
    processes: tuple[str, ...] = Field(default=(), description="ids of the business processes that rest on it")


class Who(BaseModel):
    """What the snapshot in force at the record's Kafka time said. None of a part: the record names nothing there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    snapshot: str = Field(description="revision of the snapshot of identities")
    host: Resolution | None = None
    user: Resolution | None = None
    src: Resolution | None = None
    asset: AssetRef | None = Field(default=None, description="of the host, else of the source")
