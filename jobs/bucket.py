"""The bucket's set-up: that it exists, that browsers may use it, that it tells the queue of uploads."""

import asyncio
import json
from contextlib import suppress

import aioboto3
from aiobotocore.config import AioConfig

from jobs.images import SOURCES_PREFIX
from jobs.settings import Settings


async def prepare_bucket(settings: Settings, *, events_queue: str) -> str:
    """Create what is missing of bucket and queue, and connect the two; returns the queue's URL."""
    session = aioboto3.Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
    )
    config = AioConfig(s3={"addressing_style": settings.s3_addressing})
    async with (
        session.client("s3", endpoint_url=settings.s3_endpoint, config=config) as s3,
        session.client("sqs", endpoint_url=settings.s3_endpoint) as sqs,
    ):
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            await s3.create_bucket(Bucket=settings.s3_bucket)
        queue_url = (await sqs.create_queue(QueueName=events_queue))["QueueUrl"]
        attributes = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        queue_arn = attributes["Attributes"]["QueueArn"]
        await sqs.set_queue_attributes(
            QueueUrl=queue_url, Attributes={"Policy": json.dumps(queue_policy(queue_arn, settings.s3_bucket))}
        )
        await asyncio.gather(
            s3.put_bucket_cors(
                Bucket=settings.s3_bucket,
                CORSConfiguration={
                    "CORSRules": [
                        {
                            "AllowedOrigins": list(settings.cors_origins) or ["*"],
                            "AllowedMethods": ["PUT", "GET", "HEAD"],
                            "AllowedHeaders": ["content-type", "if-none-match", "x-amz-checksum-sha256"],
                            "ExposeHeaders": ["ETag"],
                            "MaxAgeSeconds": 3_600,
                        }
                    ]
                },
            ),
            s3.put_bucket_notification_configuration(
                Bucket=settings.s3_bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [
                        {
                            "QueueArn": queue_arn,
                            "Events": ["s3:ObjectCreated:*"],
                            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": SOURCES_PREFIX}]}},
                        }
                    ]
                },
            ),
        )
    return queue_url


def queue_policy(queue_arn: str, bucket: str) -> dict[str, object]:
    """Who may write to the queue: S3, on behalf of this bucket."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
            }
        ],
    }
