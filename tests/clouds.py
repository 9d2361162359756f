"""Records of clouds and platforms, true to their documentation; written for these tests. One function a shape.

Sources: AWS, CloudTrail user guide (record contents). Kubernetes, reference of audit.k8s.io/v1. Microsoft, Office 365
Management Activity API schema; Graph (signIn, directoryAudit, riskDetection); Azure Monitor (SignInLogs, AuditLogs,
Activity log event schema). Okta, System Log API. Google, LogEntry, AuditLog, Workspace audit logs, Reports API. GitHub,
audit log events of an organization. Atlassian, audit log file of Bitbucket. Cisco, Duo Admin API v2. OneLogin, Events
API. OpenCanary, its logger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AT = "2026-10-11T17:14:15"
AT_MS = 1_791_738_855_000
CLIENT = "203.0.113.9"
DANA = "dana@bank.example"

Doc = dict[str, Any]


def cloudtrail() -> Doc:
    return {
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:dana",
            "arn": "arn:aws:sts::111122223333:assumed-role/admin/dana",
            "accountId": "111122223333",
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "userName": "admin", "accountId": "111122223333"},
                "attributes": {"creationDate": "2026-10-11T16:00:00Z", "mfaAuthenticated": "false"},
            },
        },
        "eventTime": f"{AT}Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "PutBucketVersioning",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": CLIENT,
        "userAgent": "aws-cli/2.13.0",
        "requestParameters": {"bucketName": "b", "VersioningConfiguration": {"Status": "Suspended"}},
        "responseElements": None,
        "requestID": "EXAMPLE",
        "eventID": "00000000-0000-0000-0000-000000000001",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    }


def kubernetes() -> Doc:
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "00000000-0000-0000-0000-000000000002",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/pay/pods",
        "verb": "create",
        "user": {"username": DANA, "groups": ["system:authenticated"]},
        "sourceIPs": [CLIENT, "10.0.0.1"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {"resource": "pods", "namespace": "pay", "name": "p", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {
            "kind": "Pod",
            "spec": {
                "containers": [
                    {"name": "c", "image": "i", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}
                ],
                "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            },
        },
        "requestReceivedTimestamp": f"{AT}.000000Z",
        "stageTimestamp": f"{AT}.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


def microsoft365() -> Doc:
    return {
        "CreationTime": AT,
        "Id": "00000000-0000-0000-0000-000000000003",
        "Operation": "New-InboxRule",
        "OrganizationId": "00000000-0000-0000-0000-0000000000aa",
        "RecordType": 1,
        "ResultStatus": "True",
        "UserKey": "1003",
        "UserType": 2,
        "Version": 1,
        "Workload": "Exchange",
        "ClientIP": f"{CLIENT}:49152",
        "ObjectId": "dana\\rule",
        "UserId": DANA,
        "Parameters": [
            {"Name": "ForwardTo", "Value": "smtp:eve@evil.example"},
            {"Name": "DeleteMessage", "Value": "True"},
        ],
    }


def microsoft365_signin() -> Doc:
    return {
        "CreationTime": AT,
        "Id": "00000000-0000-0000-0000-000000000004",
        "Operation": "UserLoggedIn",
        "OrganizationId": "00000000-0000-0000-0000-0000000000aa",
        "RecordType": 15,
        "ResultStatus": "Success",
        "UserKey": "1004",
        "UserType": 0,
        "Version": 1,
        "Workload": "AzureActiveDirectory",
        "ClientIP": "2001:db8::9",
        "ObjectId": "00000003-0000-0000-c000-000000000000",
        "UserId": DANA,
        "AzureActiveDirectoryEventType": 1,
        "ExtendedProperties": [
            {"Name": "UserAgent", "Value": "Mozilla/5.0"},
            {"Name": "RequestType", "Value": "OAuth2:Authorize"},
        ],
        "ApplicationId": "00000000-0000-0000-0000-0000000000bb",
        "DeviceProperties": [{"Name": "OS", "Value": "Windows"}],
    }


def microsoft365_alert() -> Doc:
    return {
        "CreationTime": AT,
        "Id": "00000000-0000-0000-0000-000000000005",
        "Operation": "AlertTriggered",
        "OrganizationId": "00000000-0000-0000-0000-0000000000aa",
        "RecordType": 40,
        "ResultStatus": "Succeeded",
        "UserKey": "SecurityComplianceAlerts",
        "UserType": 4,
        "Version": 1,
        "Workload": "SecurityComplianceCenter",
        "ObjectId": DANA,
        "UserId": "SecurityComplianceAlerts",
        "AlertId": "00000000-0000-0000-0000-0000000000cc",
        "AlertType": "System",
        "Name": "Impossible travel activity",
        "Severity": "Medium",
        "Category": "ThreatManagement",
        "Data": '{"f3u":"dana@bank.example","op":"New-ComplianceSearchAction Export pst"}',
        "Status": "Active",
        "Source": "Office 365 Security & Compliance",
    }


def _signin_properties() -> Doc:
    return {
        "id": "00000000-0000-0000-0000-000000000006",
        "createdDateTime": f"{AT}Z",
        "userDisplayName": "Dana",
        "userPrincipalName": DANA,
        "userId": "00000000-0000-0000-0000-0000000000dd",
        "appId": "00000000-0000-0000-0000-0000000000ee",
        "appDisplayName": "Azure Portal",
        "ipAddress": CLIENT,
        "clientAppUsed": "Browser",
        "userAgent": "Mozilla/5.0",
        "conditionalAccessStatus": "success",
        "authenticationRequirement": "singleFactorAuthentication",
        "authenticationProtocol": "deviceCode",
        "status": {"errorCode": 50126, "failureReason": "Error validating credentials", "additionalDetails": "None"},
        "deviceDetail": {"deviceId": "", "displayName": "WS-017", "isCompliant": False, "trustType": ""},
        "location": {"city": "Almaty", "countryOrRegion": "KZ"},
        "riskState": "atRisk",
        "resourceDisplayName": "Microsoft Graph",
        "networkLocationDetails": [],
        "homeTenantId": "00000000-0000-0000-0000-0000000000aa",
        "resourceTenantId": "00000000-0000-0000-0000-0000000000aa",
    }


def azure_signin() -> Doc:
    return {
        "time": f"{AT}.0000000Z",
        "resourceId": "/tenants/00000000-0000-0000-0000-0000000000aa/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "operationVersion": "1.0",
        "category": "SignInLogs",
        "tenantId": "00000000-0000-0000-0000-0000000000aa",
        "resultType": "50126",
        "resultSignature": "None",
        "resultDescription": "Error validating credentials",
        "durationMs": 0,
        "callerIpAddress": CLIENT,
        "correlationId": "00000000-0000-0000-0000-000000000007",
        "identity": "Dana",
        "Level": 4,
        "location": "KZ",
        "properties": _signin_properties(),
    }


def graph_signin() -> Doc:
    return _signin_properties()


def analytics_signin() -> Doc:
    inside = _signin_properties()
    named = {name[0].upper() + name[1:]: value for name, value in inside.items() if name not in ("id", "ipAddress")}
    head = {"TimeGenerated": f"{AT}.0000000Z", "OperationName": "Sign-in activity", "Category": "SignInLogs"}
    also = {"ResultType": "50126", "ResultDescription": "Error validating credentials", "IPAddress": CLIENT}
    return named | head | also | {"Location": "KZ", "Type": "SigninLogs", "Identity": "Dana"}


def _audit_properties() -> Doc:
    change = {"displayName": "Role.DisplayName", "oldValue": None, "newValue": '"Global Administrator"'}
    return {
        "id": "Directory_0001",
        "category": "RoleManagement",
        "correlationId": "00000000-0000-0000-0000-000000000008",
        "result": "success",
        "resultReason": "",
        "activityDisplayName": "Add member to role",
        "activityDateTime": f"{AT}Z",
        "loggedByService": "Core Directory",
        "operationType": "Assign",
        "initiatedBy": {"user": {"id": "1", "userPrincipalName": DANA, "ipAddress": CLIENT}},
        "targetResources": [
            {
                "id": "00000000-0000-0000-0000-0000000000ff",
                "displayName": "eve",
                "type": "User",
                "userPrincipalName": "eve@bank.example",
                "modifiedProperties": [change],
            }
        ],
        "additionalDetails": [{"key": "User-Agent", "value": "Mozilla/5.0"}],
    }


def azure_audit() -> Doc:
    inside = _audit_properties()
    return {
        "time": f"{AT}.0000000Z",
        "resourceId": "/tenants/00000000-0000-0000-0000-0000000000aa/providers/Microsoft.aadiam",
        "operationName": inside["activityDisplayName"],
        "operationVersion": "1.0",
        "category": "AuditLogs",
        "tenantId": "00000000-0000-0000-0000-0000000000aa",
        "resultSignature": "None",
        "durationMs": 0,
        "callerIpAddress": CLIENT,
        "correlationId": inside["correlationId"],
        "Level": 4,
        "properties": inside,
    }


def graph_audit() -> Doc:
    return _audit_properties()


def graph_risk() -> Doc:
    return {
        "id": "0001",
        "requestId": "00000000-0000-0000-0000-000000000009",
        "riskEventType": "impossibleTravel",
        "riskState": "atRisk",
        "riskLevel": "high",
        "riskDetail": "none",
        "source": "IdentityProtection",
        "detectionTimingType": "offline",
        "activity": "signin",
        "ipAddress": CLIENT,
        "activityDateTime": f"{AT}Z",
        "detectedDateTime": f"{AT}Z",
        "userId": "00000000-0000-0000-0000-0000000000dd",
        "userDisplayName": "Dana",
        "userPrincipalName": DANA,
    }


def azure_risk() -> Doc:
    return {
        "time": f"{AT}.0000000Z",
        "resourceId": "/tenants/00000000-0000-0000-0000-0000000000aa/providers/microsoft.aadiam",
        "operationName": "User Risk Detection",
        "operationVersion": "1.0",
        "category": "UserRiskEvents",
        "tenantId": "00000000-0000-0000-0000-0000000000aa",
        "resultSignature": "None",
        "callerIpAddress": CLIENT,
        "identity": "Dana",
        "properties": graph_risk(),
    }


def azure_activity() -> Doc:
    return {
        "time": f"{AT}.0000000Z",
        "resourceId": "/SUBSCRIPTIONS/0/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.NETWORK/AZUREFIREWALLS/FW",
        "operationName": "MICROSOFT.NETWORK/AZUREFIREWALLS/DELETE",
        "category": "Administrative",
        "resultType": "Success",
        "resultSignature": "Succeeded.OK",
        "durationMs": 100,
        "callerIpAddress": CLIENT,
        "correlationId": "00000000-0000-0000-0000-00000000000a",
        "identity": {"authorization": {"action": "x"}, "claims": {"name": DANA, "appid": "1"}},
        "level": "Information",
        "properties": {"statusCode": "OK", "message": "Microsoft.Network/azureFirewalls/delete"},
    }


def azure_activity_rest() -> Doc:
    return {
        "authorization": {"action": "Microsoft.Network/azureFirewalls/delete", "scope": "/subscriptions/0"},
        "caller": DANA,
        "channels": "Operation",
        "claims": {"name": "Dana"},
        "correlationId": "00000000-0000-0000-0000-00000000000a",
        "eventDataId": "00000000-0000-0000-0000-00000000000b",
        "eventName": {"value": "EndRequest", "localizedValue": "End request"},
        "category": {"value": "Administrative", "localizedValue": "Administrative"},
        "httpRequest": {"clientRequestId": "1", "clientIpAddress": CLIENT, "method": "DELETE"},
        "level": "Informational",
        "resourceGroupName": "rg",
        "resourceProviderName": {"value": "Microsoft.Network"},
        "resourceId": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/azureFirewalls/fw",
        "operationName": {"value": "Microsoft.Network/azureFirewalls/delete", "localizedValue": "Delete firewall"},
        "status": {"value": "Succeeded"},
        "eventTimestamp": f"{AT}.0000000Z",
        "submissionTimestamp": f"{AT}.0000000Z",
        "subscriptionId": "0",
    }


def okta() -> Doc:
    return {
        "uuid": "00000000-0000-0000-0000-00000000000c",
        "published": f"{AT}.000Z",
        "eventType": "user.session.start",
        "version": "0",
        "severity": "INFO",
        "legacyEventType": "core.user_auth.login_success",
        "displayMessage": "User login to Okta",
        "actor": {"id": "00u1", "type": "User", "alternateId": DANA, "displayName": "Dana"},
        "client": {
            "userAgent": {"rawUserAgent": "Mozilla/5.0", "os": "Windows 10", "browser": "FIREFOX"},
            "zone": "null",
            "device": "Computer",
            "ipAddress": CLIENT,
            "geographicalContext": {"city": "Almaty", "country": "Kazakhstan"},
        },
        "outcome": {"result": "SUCCESS", "reason": None},
        "target": [{"id": "0oa1", "type": "AppInstance", "alternateId": "Okta Admin Console", "displayName": "x"}],
        "transaction": {"type": "WEB", "id": "1", "detail": {}},
        "debugContext": {"debugData": {"requestUri": "/api/v1/authn", "behaviors": "{New Geo-Location=POSITIVE}"}},
        "authenticationContext": {"externalSessionId": "102"},
        "securityContext": {"asNumber": 64496, "isp": "isp", "domain": "isp.example", "isProxy": True},
        "request": {"ipChain": [{"ip": CLIENT, "version": "V4"}]},
    }


def google() -> Doc:
    return {
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": {},
            "authenticationInfo": {"principalEmail": DANA},
            "requestMetadata": {"callerIp": CLIENT, "callerSuppliedUserAgent": "gcloud"},
            "serviceName": "storage.googleapis.com",
            "methodName": "storage.buckets.delete",
            "authorizationInfo": [
                {"resource": "projects/_/buckets/b", "permission": "storage.buckets.delete", "granted": True}
            ],
            "resourceName": "projects/_/buckets/b",
        },
        "insertId": "1",
        "resource": {"type": "gcs_bucket", "labels": {"project_id": "p"}},
        "timestamp": f"{AT}.000000Z",
        "severity": "NOTICE",
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "receiveTimestamp": f"{AT}.900000Z",
    }


def workspace() -> Doc:
    doc = google()
    doc["protoPayload"] |= {
        "serviceName": "admin.googleapis.com",
        "methodName": "google.admin.AdminService.changeApplicationSetting",
        "metadata": {
            "event": [
                {
                    "eventName": "CHANGE_APPLICATION_SETTING",
                    "eventType": "APPLICATION_SETTINGS",
                    "parameter": [
                        {"name": "SETTING_NAME", "type": "TYPE_STRING", "value": "ContextAwareAccess x"},
                        {"name": "NEW_VALUE", "type": "TYPE_STRING", "value": "false"},
                    ],
                }
            ]
        },
    }
    return doc


def workspace_report() -> Doc:
    return {
        "kind": "admin#reports#activity",
        "id": {"time": f"{AT}.000Z", "uniqueQualifier": "1", "applicationName": "admin", "customerId": "C1"},
        "actor": {"callerType": "USER", "email": DANA, "profileId": "1"},
        "ipAddress": CLIENT,
        "events": [
            {
                "type": "DELEGATED_ADMIN_SETTINGS",
                "name": "UPDATE_ROLE",
                "parameters": [{"name": "ROLE_NAME", "value": "r"}],
            }
        ],
    }


def github() -> Doc:
    return {
        "@timestamp": AT_MS,
        "_document_id": "1",
        "action": "org.add_member",
        "actor": "dana",
        "actor_ip": CLIENT,
        "actor_location": {"country_code": "KZ"},
        "created_at": AT_MS,
        "org": "bank",
        "user": "eve",
    }


def bitbucket() -> Doc:
    return {
        "timestamp": {"epochSecond": AT_MS // 1000, "nano": 0},
        "author": {"id": "2", "name": "dana", "type": "user"},
        "auditType": {"area": "PERMISSIONS", "category": "Permissions", "action": "Global permission granted"},
        "affectedObjects": [{"name": "eve", "type": "USER"}],
        "changedValues": [],
        "source": CLIENT,
        "system": "https://git.bank.example",
        "method": "Browser",
        "extraAttributes": [],
    }


def duo() -> Doc:
    return {
        "access_device": {"browser": "Chrome", "hostname": "ws-017", "ip": CLIENT, "os": "Windows"},
        "application": {"key": "1", "name": "VPN"},
        "auth_device": {"ip": "198.51.100.7", "name": "phone"},
        "email": DANA,
        "event_type": "authentication",
        "factor": "not_available",
        "isotimestamp": f"{AT}.000000+00:00",
        "reason": "bypass_user",
        "result": "success",
        "timestamp": AT_MS // 1000,
        "txid": "1",
        "user": {"key": "1", "name": "dana"},
    }


def onelogin() -> Doc:
    return {
        "id": 1,
        "created_at": f"{AT}.000Z",
        "account_id": 2,
        "user_id": 3,
        "event_type_id": 532,
        "ipaddr": CLIENT,
        "user_name": "dana",
        "actor_user_name": "eve",
        "notes": "locked",
    }


def opencanary() -> Doc:
    return {
        "dst_host": "10.0.0.7",
        "dst_port": 22,
        "local_time": "2026-10-11 22:14:15.000000",
        "local_time_adjusted": "2026-10-11 22:14:15.000000",
        "logdata": {"USERNAME": "root", "PASSWORD": "x", "REMOTEVERSION": "SSH-2.0-x"},
        "logtype": 4002,
        "node_id": "canary-1",
        "src_host": CLIENT,
        "src_port": 50123,
        "utc_time": "2026-10-11 17:14:15.000000",
    }


#: Shape → (format, product, category, service, user, record).
CLOUDS: dict[str, tuple[str, str, str, str, str, Callable[[], Doc]]] = {
    "CloudTrail": ("cloudtrail", "aws", "", "cloudtrail", "admin", cloudtrail),
    "Kubernetes": ("kubernetes", "kubernetes", "application", "audit", DANA, kubernetes),
    "Microsoft 365": ("microsoft365", "m365", "", "audit", DANA, microsoft365),
    "Microsoft 365 sign-in": ("microsoft365", "m365", "", "audit", DANA, microsoft365_signin),
    "Microsoft 365 alert": ("microsoft365", "m365", "", "audit", "SecurityComplianceAlerts", microsoft365_alert),
    "Entra sign-in, Azure Monitor": ("azure", "azure", "", "signinlogs", DANA, azure_signin),
    "Entra sign-in, Graph": ("azure", "azure", "", "signinlogs", DANA, graph_signin),
    "Entra sign-in, Log Analytics": ("azure", "azure", "", "signinlogs", DANA, analytics_signin),
    "Entra audit, Azure Monitor": ("azure", "azure", "", "auditlogs", DANA, azure_audit),
    "Entra audit, Graph": ("azure", "azure", "", "auditlogs", DANA, graph_audit),
    "Entra risk, Graph": ("azure", "azure", "", "riskdetection", DANA, graph_risk),
    "Entra risk, Azure Monitor": ("azure", "azure", "", "riskdetection", DANA, azure_risk),
    "Azure activity": ("azure", "azure", "", "activitylogs", DANA, azure_activity),
    "Azure activity, REST": ("azure", "azure", "", "activitylogs", DANA, azure_activity_rest),
    "Okta": ("okta", "okta", "", "okta", DANA, okta),
    "Google Cloud": ("google", "gcp", "", "gcp.audit", DANA, google),
    "Google Workspace": ("google", "gcp", "", "google_workspace.admin", DANA, workspace),
    "Google Workspace report": ("google", "gcp", "", "google_workspace.admin", DANA, workspace_report),
    "GitHub": ("github", "github", "", "audit", "dana", github),
    "Bitbucket": ("bitbucket", "bitbucket", "", "audit", "dana", bitbucket),
    "Duo": ("duo", "cisco", "", "duo", "dana", duo),
    "OneLogin": ("onelogin", "onelogin", "", "onelogin.events", "dana", onelogin),
    "OpenCanary": ("opencanary", "opencanary", "application", "", "root", opencanary),
}
