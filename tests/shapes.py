"""Storage events in the shape in which each store sends them, for any bucket and key.

Written after what the stores document, which each docstring names; the values are made up.
"""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

Shape = Callable[[str, str], Any]


def s3(bucket: str, key: str) -> Any:
    """Amazon S3 User Guide, “Event message structure”."""
    return {
        "Records": [
            {
                "eventVersion": "2.5",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2026-06-01T12:00:00.000Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "192.0.2.7"},
                "responseElements": {"x-amz-request-id": "R1", "x-amz-id-2": "R2"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "darkroom-uploads",
                    "bucket": {
                        "name": bucket,
                        "ownerIdentity": {"principalId": "A1"},
                        "arn": f"arn:aws:s3:::{bucket}",
                    },
                    "object": {
                        "key": quote_plus(key, safe="/"),
                        "size": 1_024,
                        "eTag": "e1",
                        "versionId": "v1",
                        "sequencer": "0065F1A2B3C4D5E6F7",
                    },
                },
            }
        ]
    }


def s3_test(bucket: str, _key: str) -> Any:
    """The same guide: what comes once when a notification is set up."""
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-06-01T12:00:00.000Z",
        "Bucket": bucket,
        "RequestId": "R1",
        "HostId": "R2",
    }


def event_bridge(bucket: str, key: str) -> Any:
    """Amazon S3 User Guide, “EventBridge event message structure”."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-06-01T12:00:00Z",
        "region": "eu-central-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {
                "key": key,
                "size": 1_024,
                "etag": "e1",
                "version-id": "v1",
                "sequencer": "0065F1A2B3C4D5E6F7",
            },
            "request-id": "R1",
            "requester": "111122223333",
            "source-ip-address": "192.0.2.7",
            "reason": "PutObject",
        },
    }


def sns(payload: Any) -> Any:
    """Amazon SNS Developer Guide, “Parsing Amazon SNS message formats”; here as a queue gets it."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:111122223333:uploads",
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(payload),
        "Timestamp": "2026-06-01T12:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmVk",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }


def s3_by_sns(bucket: str, key: str) -> Any:
    """S3's own notification by way of a topic."""
    return sns(s3(bucket, key))


def event_bridge_by_sns(bucket: str, key: str) -> Any:
    """A rule of EventBridge whose target is a topic."""
    return sns(event_bridge(bucket, key))


def minio(bucket: str, key: str) -> Any:
    """MinIO, “Bucket notifications”, and its `event.Log`: S3's record, with every slash encoded."""
    [record] = s3(bucket, key)["Records"]
    record |= {"eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put", "awsRegion": ""}
    record["s3"]["object"] |= {
        "key": quote(key, safe="").replace("%20", "+"),
        "contentType": "image/jpeg",
        "userMetadata": {"content-type": "image/jpeg"},
        "sequencer": "17A3B4C5D6E7F809",
    }
    record["source"] = {"host": "192.0.2.7", "port": "", "userAgent": "MinIO"}
    return {"EventName": "s3:ObjectCreated:Put", "Key": f"{bucket}/{key}", "Records": [record]}


def ceph(bucket: str, key: str) -> Any:
    """Ceph Object Gateway, “Bucket Notifications”: no prefix of the name, the key as it is."""
    [record] = s3(bucket, key)["Records"]
    record |= {"eventVersion": "2.2", "eventSource": "ceph:s3", "eventId": "", "opaqueData": ""}
    record["s3"]["object"] |= {
        "key": key,
        "versionId": "",
        "sequencer": "F7E6D75DC742D108",
        "metadata": [],
        "tags": [],
    }
    return {"Records": [record]}


def r2(bucket: str, key: str) -> Any:
    """Cloudflare R2, “Event notifications”: the body of a queue's message."""
    return {
        "account": "0123456789abcdef0123456789abcdef",
        "action": "PutObject",
        "bucket": bucket,
        "object": {"key": key, "size": 1_024, "eTag": "e1"},
        "eventTime": "2026-06-01T12:00:00.000Z",
    }


def r2_batch(bucket: str, key: str) -> Any:
    """The bodies of a batch, as a Worker forwards them."""
    return [r2(bucket, key)]


def google(bucket: str, key: str) -> Any:
    """Google Cloud, “Pub/Sub notifications for Cloud Storage” in the body of “Push subscriptions”."""
    resource = {
        "kind": "storage#object",
        "id": f"{bucket}/{key}/1780315200000001",
        "name": key,
        "bucket": bucket,
        "generation": "1780315200000001",
        "metageneration": "1",
        "contentType": "image/jpeg",
        "size": "1024",
        "etag": "e1",
    }
    return {
        "message": {
            "attributes": {
                "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/1",
                "eventType": "OBJECT_FINALIZE",
                "payloadFormat": "JSON_API_V1",
                "bucketId": bucket,
                "objectId": key,
                "objectGeneration": "1780315200000001",
                "eventTime": "2026-06-01T12:00:00.000000Z",
            },
            "data": base64.b64encode(json.dumps(resource).encode()).decode(),
            "messageId": "1",
            "message_id": "1",
            "publishTime": "2026-06-01T12:00:00.100Z",
            "publish_time": "2026-06-01T12:00:00.100Z",
        },
        "subscription": "projects/p/subscriptions/darkroom",
    }


SHAPES: list[Shape] = [
    s3,
    s3_by_sns,
    event_bridge,
    event_bridge_by_sns,
    minio,
    ceph,
    r2,
    r2_batch,
    google,
]
