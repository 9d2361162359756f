"""Kubernetes audit: `audit.k8s.io` Events, one a record. The API server's own names are those of Sigma's rules.

Rules shorten some (`hostPath`, `capabilities`, `apiGroup`); the mapping `kubernetes` says where these stand.
Source: the reference of kube-apiserver audit (audit.k8s.io/v1).
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import source
from schemas.event import Format

KUBERNETES = Format("kubernetes", "json", mapping=ours("kubernetes"))

OBSERVABLES: Final[Rows] = (("sourceIPs", take_address),)


def is_kubernetes(doc: dict[str, Any]) -> bool:
    """Its API group, or what only such events have."""
    version = doc.get("apiVersion")
    return (type(version) is str and version.startswith("audit.k8s.io/")) or (
        "auditID" in doc and "verb" in doc and "stage" in doc
    )


kubernetes: Final = parser(
    KUBERNETES,
    source("kubernetes", "application", "audit"),
    time=("stageTimestamp", "requestReceivedTimestamp", "metadata.creationTimestamp", "timestamp"),
    user=("impersonatedUser.username", "user.username"),
    src_ip=("sourceIPs.0",),
)
