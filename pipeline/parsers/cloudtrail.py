"""AWS CloudTrail: one event a record, by its own names, which are those of Sigma's rules.

Rules look into `requestParameters` and `responseElements` both by path and as a text: the texts within stand beside
them. `status` is what rules call the absence of an error. Source: the CloudTrail user guide, "Record contents".
A file of CloudTrail holds `{"Records": […]}`: `detect` and `publish` take it apart (`pipeline/recordings.py`).
"""

from __future__ import annotations

from typing import Any, Final

from detectors.ioc.observables import Rows, take_address
from detectors.sigma.fields import texts_of
from detectors.sigma.pipelines import ours
from pipeline.parsers.paths import parser
from pipeline.parsers.shape import source
from schemas.event import Format

CLOUDTRAIL = Format("cloudtrail", "json", frozenset({"status"}), ours("cloudtrail"))

OBSERVABLES: Final[Rows] = (("sourceIPAddress", take_address),)


def is_cloudtrail(doc: dict[str, Any]) -> bool:
    """Who gave the event, its name, and where."""
    return "eventSource" in doc and "eventName" in doc and ("awsRegion" in doc or "eventVersion" in doc)


def _complete(doc: dict[str, Any]) -> None:
    for name in ("requestParameters", "responseElements"):
        inside = doc.get(name)
        if isinstance(inside, dict) and inside:
            doc[f"{name}.texts"] = texts_of(inside)
    doc.setdefault("status", "failure" if doc.get("errorCode") else "success")


cloudtrail: Final = parser(
    CLOUDTRAIL,
    source("aws", "", "cloudtrail"),
    time=("eventTime",),
    user=(
        "userIdentity.userName",
        "userIdentity.sessionContext.sessionIssuer.userName",
        "userIdentity.arn",
        "userIdentity.principalId",
        "userIdentity.invokedBy",
    ),
    src_ip=("sourceIPAddress",),
    domain=("tlsDetails.clientProvidedHostHeader",),
    complete=_complete,
)
