"""SigmaHQ's rules for clouds find what they look for in records shaped as the clouds write them.

For each rule a record is made: its values, put where the cloud's documentation has such values stand (`NATIVE`), into a
whole record of that cloud. The rule must find it, through the parser's log source and the format's mapping.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from detectors.sigma.engine import Engine
from pipeline.rules import LoadedRules
from tests import clouds
from tests.clouds import Doc
from tests.integration.test_sigma_recordings import every_rule, unpacked
from tests.parsing import event

pytestmark = [pytest.mark.shared, pytest.mark.timeout(300)]
__all__ = ["every_rule", "unpacked"]

_SAME: dict[str, str] = {}
_CHANGE = "properties.targetResources.0.modifiedProperties.0"
_GRAPH_CHANGE = "targetResources.0.modifiedProperties.0"

#: (product, service) → the records that such events come as, and by a rule's field where its value stands in them.
NATIVE: dict[tuple[str, str], list[tuple[Any, dict[str, str]]]] = {
    ("aws", "cloudtrail"): [(clouds.cloudtrail, {})],
    ("kubernetes", "audit"): [
        (clouds.kubernetes, {"apiGroup": "objectRef.apiGroup", "hostPath": "", "capabilities": ""})
    ],
    ("m365", "audit"): [
        (
            clouds.microsoft365,
            {
                "Parameters": "Parameters.0.Name",
                "OperationProperties": "OperationProperties.0.Name",
                "RequestType": "ExtendedProperties.0.Value",
            },
        )
    ],
    ("m365", "exchange"): [(clouds.microsoft365, {"eventSource": "Workload", "eventName": "Operation", "status": ""})],
    ("m365", "threat_management"): [
        (clouds.microsoft365_alert, {"eventSource": "Workload", "eventName": "Name", "status": "", "Payload": "Data"})
    ],
    ("m365", "threat_detection"): [
        (clouds.microsoft365_alert, {"eventSource": "Workload", "eventName": "Name", "status": ""})
    ],
    ("azure", "activitylogs"): [
        (
            clouds.azure_activity,
            {"OperationNameValue": "operationName", "CategoryValue": "category", "ResourceId": "resourceId",
             "ResourceProviderValue": "resourceProviderName.value"},
        ),
        (
            clouds.azure_activity_rest,
            {"operationName": "operationName.value", "OperationNameValue": "operationName.value",
             "CategoryValue": "category.value", "ResourceProviderValue": "resourceProviderName.value",
             "ResourceId": "resourceId", "properties.message": "operationName.localizedValue"},
        ),
    ],
    ("azure", "auditlogs"): [
        (
            clouds.azure_audit,
            {"properties.message": "operationName", "OperationName": "operationName",
             "ActivityDisplayName": "properties.activityDisplayName",
             "activityType": "properties.activityDisplayName", "Category": "properties.category",
             "category": "properties.category", "Status": "properties.result",
             "LoggedByService": "properties.loggedByService",
             "TargetResources.ModifiedProperties.DisplayName": f"{_CHANGE}.displayName",
             "TargetResources.ModifiedProperties.NewValue": f"{_CHANGE}.newValue",
             "TargetResources.modifiedProperties.newValue": f"{_CHANGE}.newValue",
             "TargetResources.modifiedProperties": f"{_CHANGE}.displayName",
             "TargetResources": f"{_CHANGE}.newValue", "properties.targetResources": f"{_CHANGE}.newValue",
             "targetResources.type": "properties.targetResources.0.type",
             "additionalDetails.additionalInfo": "properties.additionalDetails.0.value",
             "failure_status_reason": "properties.resultReason"},
        ),
        (
            clouds.graph_audit,
            {"properties.message": "activityDisplayName", "OperationName": "activityDisplayName",
             "operationName": "activityDisplayName", "ActivityDisplayName": "activityDisplayName",
             "activityType": "activityDisplayName", "Category": "category", "Status": "result",
             "properties.result": "result", "LoggedByService": "loggedByService",
             "TargetResources.ModifiedProperties.DisplayName": f"{_GRAPH_CHANGE}.displayName",
             "TargetResources.ModifiedProperties.NewValue": f"{_GRAPH_CHANGE}.newValue",
             "TargetResources.modifiedProperties.newValue": f"{_GRAPH_CHANGE}.newValue",
             "TargetResources.modifiedProperties": f"{_GRAPH_CHANGE}.displayName",
             "TargetResources": f"{_GRAPH_CHANGE}.newValue", "properties.targetResources": f"{_GRAPH_CHANGE}.newValue",
             "targetResources.type": "targetResources.0.type",
             "additionalDetails.additionalInfo": "additionalDetails.0.value",
             "failure_status_reason": "resultReason"},
        ),
    ],
    ("azure", "riskdetection"): [
        (clouds.graph_risk, {}),
        (clouds.azure_risk, {"riskEventType": "properties.riskEventType"}),
    ],
    ("azure", "pim"): [(clouds.graph_risk, {})],
    ("azure", "signinlogs"): [
        (
            clouds.azure_signin,
            {"ResultType": "resultType", "ResultDescription": "resultDescription",
             "Resultdescription": "resultDescription",
             "AuthenticationRequirement": "properties.authenticationRequirement",
             "userAgent": "properties.userAgent", "Status": "", "ResourceDisplayName": "properties.resourceDisplayName",
             "conditionalAccessStatus": "properties.conditionalAccessStatus", "RiskState": "properties.riskState",
             "DeviceDetail.isCompliant": "properties.deviceDetail.isCompliant",
             "DeviceDetail.deviceId": "properties.deviceDetail.deviceId", "DeviceDetail.trusttype": "",
             "properties.message": ""},
        ),
        (
            clouds.graph_signin,
            {"ResultType": "status.errorCode", "resultType": "status.errorCode",
             "ResultDescription": "status.failureReason", "Resultdescription": "status.failureReason",
             "AuthenticationRequirement": "authenticationRequirement", "Status": "",
             "ResourceDisplayName": "resourceDisplayName", "RiskState": "riskState",
             "DeviceDetail.isCompliant": "deviceDetail.isCompliant", "DeviceDetail.deviceId": "deviceDetail.deviceId",
             "DeviceDetail.trusttype": "", "properties.message": ""},
        ),
    ],
    ("okta", "okta"): [
        (clouds.okta, {"target.displayName": "target.0.displayName"}),
    ],
    ("gcp", "gcp.audit"): [
        (
            clouds.google,
            {"gcp.audit.method_name": "protoPayload.methodName",
             "data.protoPayload.methodName": "protoPayload.methodName",
             "data.protoPayload.serviceName": "protoPayload.serviceName",
             "data.protoPayload.resource.type": "resource.type", "data.protoPayload.logName": "",
             "data.protoPayload.authorizationInfo.permission": "protoPayload.authorizationInfo.0.permission",
             "data.protoPayload.authorizationInfo.granted": ""},
        )
    ],
    ("gcp", "google_workspace.admin"): [
        (
            clouds.workspace,
            {"eventService": "protoPayload.serviceName", "eventName": "protoPayload.metadata.event.0.eventName",
             "setting_name": "protoPayload.metadata.event.0.parameter.0.value",
             "new_value": "protoPayload.metadata.event.0.parameter.1.value"},
        ),
    ],
    ("gcp", "google_workspace.login"): [
        (
            clouds.workspace,
            {"protoPayload.Servicename": "protoPayload.serviceName",
             "protoPayload.metadata.event.eventName": "protoPayload.metadata.event.0.eventName"},
        )
    ],
    ("github", "audit"): [(clouds.github, {})],
    ("bitbucket", "audit"): [(clouds.bitbucket, {})],
    ("cisco", "duo"): [(clouds.duo, {})],
    ("onelogin", "onelogin.events"): [(clouds.onelogin, {})],
    ("opencanary", ""): [(clouds.opencanary, {})],
}  # fmt: skip

#: What a rule's record must hold beside: keywords, and what a field of the rule is told by.
BESIDE: dict[str, dict[str, Any]] = {
    "aws_root_account_usage": {"eventType": "AwsApiCall"},
    "aws_enum_buckets": {"userIdentity.type": "IAMUser"},
    "azure_creating_number_of_resources_detection": {"operationName": "Microsoft.Compute/virtualMachines/write"},
    "azure_granting_permission_detection": {"operationName": "Microsoft.Authorization/roleAssignments/write"},
    "azure_rare_operations": {"operationName": "Microsoft.DocumentDB/databaseAccounts/listKeys/action"},
    "azure_dns_zone_modified_or_deleted": {"operationName": "MICROSOFT.NETWORK/DNSZONES/x/WRITE"},
    "azure_kubernetes_admission_controller": {
        "operationName": "MICROSOFT.KUBERNETES/CONNECTEDCLUSTERS/ADMISSIONREGISTRATION.K8S.IO/"
        "MUTATINGWEBHOOKCONFIGURATIONS/WRITE"
    },
    "azure_kubernetes_cronjob": {"operationName": "MICROSOFT.KUBERNETES/CONNECTEDCLUSTERS/BATCH/CRONJOBS/WRITE"},
    "azure_virtual_network_modified_or_deleted": {"operationName": "MICROSOFT.NETWORK/VIRTUALNETWORKS/WRITE"},
    "azure_ad_only_single_factor_auth_required": {"resultType": "0", "properties.status.errorCode": 0},
    "azure_ad_risky_sign_ins_with_singlefactorauth_from_unknown_devices": {
        "resultType": "0",
        "properties.status.errorCode": 0,
    },
    "azure_ad_suspicious_signin_bypassing_mfa": {"resultType": "0", "properties.status.errorCode": 0},
    "azure_app_ropc_authentication": {"properties.authenticationProtocol": "ropc"},
    "azure_mfa_denies": {"properties.status.additionalDetails": "MFA Denied; user declined the authentication"},
    "gcp_breakglass_container_workload_deployed": {
        "protoPayload.request.metadata.annotations": {"a": "image-policy.k8s.io/break-glass"}
    },
    "gcp_kubernetes_admission_controller": {
        "protoPayload.methodName": "admissionregistration.k8s.io.v1.mutatingwebhookconfigurations.create"
    },
    "microsoft365_bypass_conditional_access": {"ExtendedProperties.0.Name": "RequestType"},
    "microsoft365_new_federated_domain_added_audit": {"Operation": "Add-FederatedDomain"},
    "okta_password_in_alternateid_field": {"actor.alternateId": "hunter2"},
}
#: Rules that ask for what no such record holds; by file, and why.
BEYOND = {
    "azure_guest_to_member": "a text of JSON, where the record has JSON",
    "azure_legacy_authentication_protocols": "columns of the portal's page",
    "azure_user_password_change": "columns of the portal's page",
}


def put(doc: Doc, path: str, value: Any) -> None:
    """Set what stands at a path; of lists the item, made where there is none."""
    at: Any = doc
    *steps, last = path.split(".")
    for here, following in zip(steps, path.split(".")[1:], strict=True):
        if isinstance(at, list):
            while len(at) <= int(here):
                at.append({})
            at = at[int(here)]
            continue
        if not isinstance(at.get(here), (dict, list)):
            at[here] = [] if following.isdigit() else {}
        at = at[here]
    if isinstance(at, list):
        at[int(last) :] = [value]
    else:
        at[last] = value


def wanted(rule: Doc) -> list[tuple[str, Any]]:
    """(field, value) that the rule's selections ask for, the first of several."""
    found = []
    for name, selection in rule["detection"].items():
        if name in ("condition", "timeframe") or name.startswith(("filter", "valid_")):
            continue
        some = selection[0] if isinstance(selection, list) else selection
        if not isinstance(some, dict):
            continue
        if name.endswith(("_null", "_empty2", "_50097")):
            continue
        for key, value in some.items():
            field, *modifiers = key.split("|")
            several = value if isinstance(value, list) else [value]
            one = " ".join(map(str, several)) if "all" in modifiers else several[0]
            found.append((field, one.replace("v*", "v1").replace("*", "x") if isinstance(one, str) else one))
    return found


def graph(path: str) -> str:
    """A path of Azure Monitor's record in Graph's."""
    return path.removeprefix("properties.").replace("resultType", "status.errorCode")


def rest(path: str, made: Any) -> str:
    """A path of an event hub's activity in the REST API's."""
    return "operationName.value" if made is clouds.azure_activity_rest and path == "operationName" else path


def corpus(unpacked: Path) -> list[tuple[str, tuple[str, str], Doc]]:
    found = []
    for file in sorted((unpacked / "rules").rglob("*.yml")):
        rule = yaml.load(file.read_bytes(), yaml.CSafeLoader)
        said = rule["logsource"]
        key = (str(said.get("product")), str(said.get("service") or ""))
        if key in NATIVE:
            found.append((file.stem, key, rule))
    return found


def test_rules_for_clouds_find_records_as_the_clouds_write_them(unpacked: Path, every_rule: LoadedRules) -> None:
    tried, missed = 0, []
    engine = Engine(every_rule.rules)
    for stem, key, rule in corpus(unpacked):
        for made, places in NATIVE[key]:
            doc = deepcopy(made())
            for field, value in wanted(rule):
                where = places.get(field, field)
                if where:
                    put(doc, where, value)
            for path, value in BESIDE.get(stem, {}).items():
                put(doc, graph(path) if made is clouds.graph_signin else rest(path, made), value)
            found = {match.rule.id for match in engine.match([event(orjson.dumps(doc))])}
            tried += 1
            if rule["id"] not in found:
                missed.append((stem, made.__name__))
    assert tried > 400
    assert {stem for stem, _ in missed} == set(BEYOND)
