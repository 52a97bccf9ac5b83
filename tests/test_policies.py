"""The policies and rules of deploy/aws.md: they are enough, and no more than that."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from pydantic import SecretStr

from jobs import bucket, consumer, storage
from jobs.bucket import make_bucket, prepare_bucket, with_statement
from jobs.checks.store import check_store
from jobs.clock import now
from jobs.consumer import run_consumer
from jobs.embedded import Embedded
from jobs.errors import Unavailable
from jobs.sdk import open_client
from jobs.settings import Settings
from jobs.storage import open_storage
from tests.system import running_beside, running_system, until, working
from tests.test_system import a_photo, create, is_ready, put, the_image

PAGE = Path(__file__).parent.parent / "deploy" / "aws.md"
ROLES = ("api", "worker", "events", "prepare")
# What each call of the SDK has to be allowed, by Amazon's lists of actions.
NEEDS = {
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_objects": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
    "head_bucket": "s3:ListBucket",
    "create_bucket": "s3:CreateBucket",
    "get_bucket_cors": "s3:GetBucketCORS",
    "put_bucket_cors": "s3:PutBucketCORS",
    "get_bucket_notification_configuration": "s3:GetBucketNotification",
    "put_bucket_notification_configuration": "s3:PutBucketNotification",
    "create_queue": "sqs:CreateQueue",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "set_queue_attributes": "sqs:SetQueueAttributes",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message_batch": "sqs:DeleteMessage",
}


def block(name: str, settings: Settings) -> dict[str, Any]:
    """JSON of the page, for this bucket and a queue that is called like the namespace."""
    found = dict(re.findall(r"^```json (\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    text = found[name].replace("darkroom-events", settings.namespace)
    names = {"BUCKET": settings.s3_bucket, "REGION": settings.s3_region, "ACCOUNT": "000000000000"}
    for word, value in names.items():
        text = text.replace(word, value)
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def allowed(role: str, settings: Settings) -> set[str]:
    """The actions of its policy."""
    actions = [statement["Action"] for statement in block(role, settings)["Statement"]]
    return {action for item in actions for action in ([item] if isinstance(item, str) else item)}


def called(module: Any) -> set[str]:
    """What the calls in a module have to be allowed."""
    text = Path(module.__file__).read_text()
    calls = re.findall(r"""(?:\bs3|\bsqs|client)\.(?:get_paginator\(")?(\w+)[("]""", text)
    return {NEEDS[call] for call in calls}


def as_user(settings: Settings, key: dict[str, str]) -> Settings:
    """The same with another key."""
    secret = SecretStr(key["SecretAccessKey"])
    return settings.model_copy(update={"s3_access_key": key["AccessKeyId"], "s3_secret_key": secret})


@pytest.fixture
async def keys(corner: Settings, embedded: Embedded) -> AsyncIterator[dict[str, Settings]]:
    """Settings for each role with a key that its policy alone allows anything; the store enforces it."""
    session: Any = aioboto3.Session("test", "test", region_name=corner.s3_region)
    async with session.client("iam", endpoint_url=embedded.s3_endpoint) as iam:
        found = {}
        for role in ROLES:
            user = f"{corner.namespace}-{role}"
            await iam.create_user(UserName=user)
            policy = json.dumps(block(role, corner))
            await iam.put_user_policy(UserName=user, PolicyName=role, PolicyDocument=policy)
            key = (await iam.create_access_key(UserName=user))["AccessKey"]
            found[role] = as_user(corner, key)
        yield found


async def test_the_policies_are_enough(keys: dict[str, Settings]) -> None:
    """From nothing to variants, and to nothing again, each process with its own key."""
    url = await prepare_bucket(keys["prepare"], events_queue=keys["prepare"].namespace)
    assert await prepare_bucket(keys["prepare"], events_queue=keys["prepare"].namespace) == url
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(running_system(keys["api"], worker=False, events=False))
        await stack.enter_async_context(working(keys["worker"]))
        events = keys["events"].model_copy(update={"events_queue_url": url})
        await stack.enter_async_context(running_beside(run_consumer(events)))

        body = a_photo()
        target = await create(system, body)
        assert await put(system, target, body) == 200
        image_id = target["image"]["id"]
        await until(lambda: is_ready(system, image_id))
        image = await the_image(system, image_id)
        for link in [image["original"]["url"], *(variant["url"] for variant in image["variants"])]:
            assert (await system.http.get(link)).status_code == 200

        delete = "mutation ($ids: [ID!]!) { deleteImages(ids: $ids) { __typename } }"
        assert "errors" not in await system.execute(delete, ids=[image_id])
        kept = system.services.storage

        async def empty() -> bool:
            return not [item.key async for item in kept.listing("")]

        await until(empty)
        late = await create(system, body)
        assert "errors" not in await system.execute(delete, ids=[late["image"]["id"]])
        assert await put(system, late, body) == 200  # the consumer hears of it, and removes it
        await until(empty)


async def test_nobody_may_do_what_another_does(keys: dict[str, Settings], corner: Settings) -> None:
    """The store says no: so the test before this one shows what it seems to."""
    await make_bucket(corner)
    writes = {"api": "variants/a", "worker": "sources/a", "events": "sources/a"}
    for role, key in writes.items():
        async with open_storage(keys[role], now) as opened:
            with pytest.raises(Unavailable, match="AccessDenied"):
                await opened.write(key, b"x", content_type="image/png")
            with pytest.raises(Unavailable, match="AccessDenied"):
                await opened.delete(["elsewhere/a"])
        with pytest.raises(Unavailable, match="AccessDenied"):
            await make_bucket(keys[role])
    async with open_storage(keys["prepare"], now) as opened:
        with pytest.raises(Unavailable, match="AccessDenied"):
            await opened.write("sources/a", b"x", content_type="image/png")


def test_nothing_is_allowed_that_is_never_called(corner: Settings) -> None:
    """And everything that is."""
    running = set[str]().union(*(allowed(role, corner) for role in ("api", "worker", "events")))
    assert {action for action in running if action.startswith("s3:")} == called(storage)
    assert {action for action in running if action.startswith("sqs:")} == called(consumer)
    assert allowed("prepare", corner) == called(bucket)


async def test_what_is_set_by_hand_is_what_prepare_sets(corner: Settings) -> None:
    """Notification, CORS and the queue's policy; and the rules are harmless, as the doctor sees it."""
    shop = corner.model_copy(update={"cors_origins": ("https://shop.example",)})
    await prepare_bucket(shop, events_queue=shop.namespace)
    rules = block("lifecycle", shop)
    async with open_client(shop, "s3", endpoint=shop.s3_endpoint, config=AioConfig()) as s3:
        told = await s3.get_bucket_notification_configuration(Bucket=shop.s3_bucket)
        asked = await s3.get_bucket_cors(Bucket=shop.s3_bucket)
        await s3.put_bucket_lifecycle_configuration(Bucket=shop.s3_bucket, LifecycleConfiguration=rules)
    assert told["QueueConfigurations"] == block("notification", shop)["QueueConfigurations"]
    assert asked["CORSRules"] == block("cors", shop)["CORSRules"]
    arn = block("notification", shop)["QueueConfigurations"][0]["QueueArn"]
    assert with_statement(None, queue_arn=arn, bucket=shop.s3_bucket) == block("queue", shop)
    results = await check_store(shop, now, fix=False)
    assert [result.verdict for result in results if result.check == "store.lifecycle"] == ["OK"]
