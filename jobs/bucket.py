"""The bucket's set-up: that it exists, that browsers may use it, that it tells the queue of uploads."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from jobs.errors import Unavailable
from jobs.images import SOURCES_PREFIX
from jobs.sdk import SDK_ERRORS, open_client
from jobs.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import (
        CORSRuleTypeDef,
        CreateBucketRequestTypeDef,
        NotificationConfigurationTypeDef,
    )
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType

_ID = "darkroom-uploads"  # of what is ours among the bucket's rules
_MAX_RECEIVES = 100  # of a message: with the usual 30 s between two, an outage of most of an hour loses none
_DEFAULT_REGION = "us-east-1"  # the one that must not be named when a bucket is made
_NOT_FOUND = {"404", "NoSuchBucket", "NoSuchCORSConfiguration"}


async def prepare_bucket(settings: Settings, *, events_queue: str) -> str:
    """Create what is missing of bucket and queue, and connect the two; returns the queue's URL.

    What others have set on the bucket, rules for CORS and notifications, stays as it is.

    Raises:
        SettingsError: the settings make no sense.
        Unavailable: the store does not answer, or refuses; the message names the step.
    """
    async with (
        open_client(settings, "s3", endpoint=settings.s3_endpoint, config=_config(settings)) as s3,
        open_client(settings, "sqs", endpoint=_sqs_endpoint(settings), config=_config(settings)) as sqs,
    ):
        await _make_usable(s3, settings)
        with _step(f"the queue “{events_queue}” cannot be made or used"):
            queue_url, queue_arn = await _make_queue(sqs, events_queue, settings.s3_bucket)
        with _step(f"the bucket “{settings.s3_bucket}” cannot be told to notify the queue"):
            await _notify(s3, settings.s3_bucket, queue_arn)
    return queue_url


async def make_bucket(settings: Settings) -> None:
    """The bucket's part of `prepare_bucket`: how a store is told of a webhook is each store's own.

    Raises:
        SettingsError: the settings make no sense.
        Unavailable: the store does not answer, or refuses; the message names the step.
    """
    async with open_client(settings, "s3", endpoint=settings.s3_endpoint, config=_config(settings)) as s3:
        await _make_usable(s3, settings)


async def _make_usable(s3: "S3Client", settings: Settings) -> None:
    with _step(f"the bucket “{settings.s3_bucket}” cannot be made or used"):
        await _make_bucket(s3, settings)
    with _step(f"CORS of the bucket “{settings.s3_bucket}” cannot be set"):
        await _allow_browsers(s3, settings)


@contextmanager
def _step(problem: str) -> Iterator[None]:
    try:
        yield
    except SDK_ERRORS as error:
        raise Unavailable(f"{problem}: {error}") from error


def _config(settings: Settings) -> AioConfig:
    return AioConfig(s3={"addressing_style": settings.s3_addressing}, connect_timeout=5, read_timeout=30)


def _sqs_endpoint(settings: Settings) -> str | None:
    """Emulators serve both at one address; Amazon does not."""
    host = urlsplit(settings.s3_endpoint or "").hostname or "amazonaws.com"
    return None if host.endswith("amazonaws.com") else settings.s3_endpoint


async def _make_bucket(s3: "S3Client", settings: Settings) -> None:
    try:
        await s3.head_bucket(Bucket=settings.s3_bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_FOUND:
            raise
    else:
        return  # to make it again could reset what others have set
    request: CreateBucketRequestTypeDef = {"Bucket": settings.s3_bucket}
    if settings.s3_region != _DEFAULT_REGION:
        request["CreateBucketConfiguration"] = {"LocationConstraint": settings.s3_region}  # type: ignore[typeddict-item]
    await s3.create_bucket(**request)


async def _make_queue(sqs: "SQSClient", name: str, bucket: str) -> tuple[str, str]:
    """The queue's URL and ARN; the bucket may write to it, and what nobody can handle leaves it."""
    url, attributes = await _queue(sqs, name)
    arn = attributes["QueueArn"]
    policy = with_statement(attributes.get("Policy"), queue_arn=arn, bucket=bucket)
    wanted: dict[QueueAttributeNameType, str] = {"Policy": json.dumps(policy)}
    if "RedrivePolicy" not in attributes:
        _, dead = await _queue(sqs, f"{name}-dead")
        redrive = {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": _MAX_RECEIVES}
        wanted["RedrivePolicy"] = json.dumps(redrive)
    await sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
    return url, arn


async def _queue(sqs: "SQSClient", name: str) -> tuple[str, "dict[QueueAttributeNameType, str]"]:
    """The URL and the attributes of a queue, which is made if it is not there."""
    url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    return url, (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]


def with_statement(policy: str | None, *, queue_arn: str, bucket: str) -> dict[str, Any]:
    """The queue's policy, by which S3 may write to it on behalf of this bucket besides what it said."""
    ours = {
        "Sid": f"{_ID}-{bucket}",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    known: dict[str, Any] = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    statements = known["Statement"] if isinstance(known["Statement"], list) else [known["Statement"]]
    return known | {"Statement": [item for item in statements if item.get("Sid") != ours["Sid"]] + [ours]}


async def _allow_browsers(s3: "S3Client", settings: Settings) -> None:
    try:
        rules: list[Any] = (await s3.get_bucket_cors(Bucket=settings.s3_bucket))["CORSRules"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_FOUND:
            raise
        rules = []
    ours: CORSRuleTypeDef = {
        "ID": _ID,
        "AllowedOrigins": list(settings.cors_origins) or ["*"],
        "AllowedMethods": ["PUT", "GET", "HEAD"],
        "AllowedHeaders": ["content-type", "if-none-match", "x-amz-checksum-sha256"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3_600,
    }
    await s3.put_bucket_cors(
        Bucket=settings.s3_bucket,
        CORSConfiguration={"CORSRules": [ours, *(rule for rule in rules if not _is_ours(rule, ours))]},
    )


def _is_ours(rule: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether it is the rule that is about to be set, perhaps for other origins."""
    return rule.get("ID") == _ID or all(
        rule.get(name) == value for name, value in ours.items() if name not in ("ID", "AllowedOrigins")
    )


async def _notify(s3: "S3Client", bucket: str, queue_arn: str) -> None:
    answer: Any = await s3.get_bucket_notification_configuration(Bucket=bucket)
    known: NotificationConfigurationTypeDef = {
        name: value for name, value in answer.items() if name.endswith(("Configurations", "Configuration"))
    }  # type: ignore[assignment]
    others = [
        item
        for item in known.get("QueueConfigurations", [])
        if item.get("Id") != _ID and item["QueueArn"] != queue_arn  # the latter: ours, under another name
    ]
    await s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            **known,
            "QueueConfigurations": [
                *others,
                {
                    "Id": _ID,
                    "QueueArn": queue_arn,
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": SOURCES_PREFIX}]}},
                },
            ],
        },
    )


async def tells_queue(s3: "S3Client", bucket: str, name: str) -> bool | None:
    """Whether the bucket's notifications go to the queue of that name; None if the store does not say."""
    try:
        answer = await s3.get_bucket_notification_configuration(Bucket=bucket)
    except SDK_ERRORS:
        return None
    return any(item["QueueArn"].endswith(f":{name}") for item in answer.get("QueueConfigurations", []))
