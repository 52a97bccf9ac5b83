"""deploy/ceph.md and deploy/r2.md: what they tell to set is what the tests set, and does what it should."""

import json
import re
from pathlib import Path
from typing import Any

from jobs.bucket import make_bucket
from jobs.images import SOURCES_PREFIX, Status, source_key
from jobs.settings import Settings
from tests.ceph import KEPT, Ceph
from tests.node import run_node
from tests.shapes import r2
from tests.system import System
from tests.test_system import a_photo, create, put
from tests.test_webhook import push_endpoint

PAGES = Path(__file__).parent.parent / "deploy"
# Calls the Worker with messages, and prints how often it asked for them again.
CALL = """
const worker = (await import(process.argv[2])).default;
let retries = 0;
const messages = JSON.parse(process.argv[3]).map((body) => ({ body }));
await worker.queue({ messages, retryAll: () => retries++ }, JSON.parse(process.argv[4]));
console.log(retries);
"""


def blocks(page: str, language: str) -> list[str]:
    """What is fenced there."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)


async def test_the_page_on_ceph_says_what_the_tests_do(ceph_corner: Settings, ceph: Ceph) -> None:
    """Which the gateway has taken, and tells in the same words."""
    await make_bucket(ceph_corner)
    endpoint = push_endpoint("https://HOST", ceph_corner)
    async with ceph.notifying(ceph_corner.s3_bucket, "calm", endpoint), ceph.client("s3") as s3:
        told = await s3.get_bucket_notification_configuration(Bucket=ceph_corner.s3_bucket)
    (written,) = json.loads(blocks("ceph.md", "json notification")[0])["TopicConfigurations"]
    assert told["TopicConfigurations"] == [json.loads(json.dumps(written).replace("darkroom", "calm"))]
    assert ceph_corner.hook_token is not None
    asked = json.loads(blocks("ceph.md", "json topic")[0])
    password = ceph_corner.hook_token.get_secret_value()
    assert asked.pop("push-endpoint").replace("darkroom:TOKEN", f"ceph:{password}") == endpoint
    assert asked == KEPT


async def call_worker(
    node_modules: Path, folder: Path, system: System, messages: list[Any], token: str
) -> str:
    """Give the Worker of the page these messages; how often it wants them again."""
    (folder / "worker.mjs").write_text(blocks("r2.md", "js")[0])
    (folder / "call.mjs").write_text(CALL)
    env = {"HOOK_URL": f"{system.url}/hooks/storage", "HOOK_TOKEN": token}
    arguments = (str(folder / "worker.mjs"), json.dumps(messages), json.dumps(env))
    return (await run_node(node_modules, folder / "call.mjs", *arguments)).strip()


async def test_the_worker_tells_of_what_is_uploaded(api: System, node_modules: Path, tmp_path: Path) -> None:
    """With R2's messages, and an image that nobody else tells of."""
    body = a_photo()
    target = await create(api, body)
    assert await put(api, target, body) == 200
    image_id = target["image"]["id"]
    bucket, token = api.services.settings.s3_bucket, api.services.settings.hook_token
    assert token is not None
    messages = [r2(bucket, source_key(image_id)), r2(bucket, "sources/of-nobody")]
    assert await call_worker(node_modules, tmp_path, api, messages, token.get_secret_value()) == "0"
    image = await api.services.catalog.get(image_id)
    assert image is not None
    assert image.status is Status.UPLOADED


async def test_the_worker_wants_again_what_may_succeed(
    api: System, node_modules: Path, tmp_path: Path
) -> None:
    """Not what makes no sense; but what was refused for its token, or is not shown by the store yet."""
    token = api.services.settings.hook_token
    assert token is not None
    target = await create(api, a_photo())
    soon = r2(api.services.settings.s3_bucket, source_key(target["image"]["id"]))
    for messages, secret, retries in (
        ([{"what": "is this"}], token.get_secret_value(), "0"),
        ([soon], "another", "1"),
        ([soon], token.get_secret_value(), "1"),
    ):
        assert await call_worker(node_modules, tmp_path, api, messages, secret) == retries


def test_the_worker_follows_the_queue_that_is_told() -> None:
    """Each name that the commands make is the one that the configuration means."""
    (configured,) = json.loads(blocks("r2.md", "json")[0])["queues"]["consumers"]
    commands = (PAGES / "r2.md").read_text()
    assert f"--prefix {SOURCES_PREFIX} --queue {configured['queue']}" in commands
    for name in (configured["queue"], configured["dead_letter_queue"]):
        assert f"queues create {name}\n" in commands
