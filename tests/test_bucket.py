"""The set-up of bucket and queue: what is missing is made, what others made stays."""

import json

import pytest
from aiobotocore.config import AioConfig

from jobs.bucket import make_bucket, prepare_bucket, with_statement
from jobs.errors import Unavailable
from jobs.sdk import open_client
from jobs.settings import Settings

OTHER_CORS = {"ID": "a-shop", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://shop.example"]}


async def test_rules_of_others_stay(each_store: Settings) -> None:
    """Their CORS rule is there after it, and after doing it again; ours is once."""
    settings = each_store
    async with open_client(settings, "s3", endpoint=settings.s3_endpoint, config=AioConfig()) as s3:
        await s3.create_bucket(Bucket=settings.s3_bucket)
        await s3.put_bucket_cors(Bucket=settings.s3_bucket, CORSConfiguration={"CORSRules": [OTHER_CORS]})
        for _ in range(2):
            await make_bucket(settings)
        cors = (await s3.get_bucket_cors(Bucket=settings.s3_bucket))["CORSRules"]
        assert [rule.get("ID") for rule in cors] == ["darkroom-uploads", "a-shop"]


async def test_notifications_of_others_stay(corner: Settings) -> None:
    """Theirs is there after it, and after doing it again; ours is once."""
    async with (
        open_client(corner, "s3", endpoint=corner.s3_endpoint, config=AioConfig()) as s3,
        open_client(corner, "sqs", endpoint=corner.s3_endpoint, config=AioConfig()) as sqs,
    ):
        await s3.create_bucket(Bucket=corner.s3_bucket)
        theirs = (await sqs.create_queue(QueueName=f"{corner.namespace}-theirs"))["QueueUrl"]
        attributes = await sqs.get_queue_attributes(QueueUrl=theirs, AttributeNames=["QueueArn"])
        arn = attributes["Attributes"]["QueueArn"]
        policy = with_statement(None, queue_arn=arn, bucket=corner.s3_bucket)
        await sqs.set_queue_attributes(QueueUrl=theirs, Attributes={"Policy": json.dumps(policy)})
        await s3.put_bucket_notification_configuration(
            Bucket=corner.s3_bucket,
            NotificationConfiguration={
                "QueueConfigurations": [{"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]
            },
        )

        first = await prepare_bucket(corner, events_queue=corner.namespace)
        assert await prepare_bucket(corner, events_queue=corner.namespace) == first

        told = await s3.get_bucket_notification_configuration(Bucket=corner.s3_bucket)
        assert [item.get("Id") for item in told["QueueConfigurations"]] == ["theirs", "darkroom-uploads"]


async def test_what_nobody_can_handle_leaves_the_queue(corner: Settings) -> None:
    """For one beside it, unless somebody has said something else."""
    for name, wanted in ((corner.namespace, "dead"), (f"{corner.namespace}-2", "theirs")):
        async with open_client(corner, "sqs", endpoint=corner.s3_endpoint, config=AioConfig()) as sqs:
            if wanted == "theirs":
                theirs = (await sqs.create_queue(QueueName=f"{name}-theirs"))["QueueUrl"]
                answer = await sqs.get_queue_attributes(QueueUrl=theirs, AttributeNames=["QueueArn"])
                arn = answer["Attributes"]["QueueArn"]
                policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
                await sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})
            for _ in range(2):
                url = await prepare_bucket(corner, events_queue=name)
            answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
            target = json.loads(answer["Attributes"]["RedrivePolicy"])["deadLetterTargetArn"]
            assert target.endswith(f":{name}-{wanted}")


async def test_a_region_is_named_where_it_must_be(corner: Settings) -> None:
    """Elsewhere than in the first region, a bucket is made where the settings say."""
    elsewhere = corner.model_copy(update={"s3_region": "eu-central-1"})
    await prepare_bucket(elsewhere, events_queue=corner.namespace)
    async with open_client(elsewhere, "s3", endpoint=corner.s3_endpoint, config=AioConfig()) as s3:
        answer = await s3.get_bucket_location(Bucket=corner.s3_bucket)
    assert answer["LocationConstraint"] == "eu-central-1"


@pytest.mark.parametrize("wrong", [{"s3_secret_key": "wrong"}, {"s3_access_key": "AKIAUNKNOWN"}])
async def test_a_bucket_that_is_refused_is_named(each_store: Settings, wrong: dict[str, str]) -> None:
    """In one line, whatever the SDK raises."""
    settings = Settings.model_validate(each_store.model_dump() | wrong)
    with pytest.raises(Unavailable, match=f"the bucket “{settings.s3_bucket}” cannot be made or used"):
        await make_bucket(settings)


async def test_a_store_that_is_away_is_named(corner: Settings) -> None:
    """The same, after the SDK has tried."""
    settings = corner.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(Unavailable, match=f"the bucket “{settings.s3_bucket}” cannot be made or used"):
        await prepare_bucket(settings, events_queue=settings.namespace)


def test_a_policy_keeps_the_statements_of_others() -> None:
    """Ours comes once, however often it is added, and one for each bucket."""
    others = {"Version": "2012-10-17", "Statement": {"Sid": "theirs", "Effect": "Deny"}}
    once = with_statement(json.dumps(others), queue_arn="q", bucket="a")
    again = with_statement(json.dumps(once), queue_arn="q", bucket="a")
    both = with_statement(json.dumps(again), queue_arn="q", bucket="b")
    assert once == again
    assert [statement["Sid"] for statement in both["Statement"]] == [
        "theirs",
        "darkroom-uploads-a",
        "darkroom-uploads-b",
    ]
