"""Ceph's object gateway out of Debian's packages: a store by other authors than that of `make run`.

A monitor, one daemon that keeps objects in memory, and the gateway, on loopback and below one directory.
What is said of Ceph here was seen of 16.2.15.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any
from uuid import uuid4

import aioboto3
import httpx

from jobs.embedded import ready
from jobs.images import SOURCES_PREFIX
from jobs.supervise import Service, free_port, running

# The gateway looks for new topics every 30 s only. Those that are made along with it have waited for a while
# when they are used, each by one test.
TOPICS = ("calm", "faulty")
KEPT = {"persistent": "true"}  # what a topic is told, so that it keeps events until they are delivered
_COMMANDS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
_COMMAND_WITHIN = 60.0  # seconds
_REGION = "default"  # Ceph's name for it, in the names of topics
_NOWHERE = "http://127.0.0.1:9"
_CONFIGURATION = """\
[global]
fsid = {cluster}
mon host = [v1:127.0.0.1:{mon_port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
# Only this machine reaches it.
auth cluster required = none
auth service required = none
auth client required = none
# There is one daemon, so there is one copy.
osd objectstore = memstore
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pg autoscale mode = off
mon allow pool size one = true
# A monitor without others need not collect what they propose.
paxos propose interval = 0.02
paxos min wait = 0.01
# By default these are in the system's directories.
mon data = {folder}/mon
mon cluster log file = {folder}/cluster.log
osd data = {folder}/osd
run dir = {folder}
log file = {folder}/$name.log
admin socket =
rgw frontends = beast endpoint=127.0.0.1:{port}
# A topic's password may only come over TLS: believe who says that a proxy of ours took it off.
rgw trust forwarded https = true
"""


@dataclass(frozen=True)
class Ceph:
    """Where the running gateway is, and the key of a user who may make buckets."""

    endpoint: str
    access_key: str
    secret_key: str

    @asynccontextmanager
    async def notifying(self, bucket: str, topic: str, push_endpoint: str) -> AsyncIterator[None]:
        """Each new source in `bucket` is told to `push_endpoint`, by one of `TOPICS`, until it answers 2xx.

        When the context ends, so does the topic: events that nobody took would be sent a thousand times a
        second.
        """
        async with self.client("s3") as s3, self.client("sns") as sns:
            arn = await _make_topic(sns, topic, push_endpoint)
            sources = {"Key": {"FilterRules": [{"Name": "prefix", "Value": SOURCES_PREFIX}]}}
            told = {"Id": topic, "TopicArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": sources}
            await s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [told]}
            )
            try:
                yield
            finally:
                await sns.delete_topic(TopicArn=arn)

    def client(self, service: str) -> AbstractAsyncContextManager[Any]:
        """Of the SDK, with the user's key."""
        session: Any = aioboto3.Session(self.access_key, self.secret_key, region_name=_REGION)
        client: AbstractAsyncContextManager[Any] = session.client(service, endpoint_url=self.endpoint)
        return client


async def _make_topic(sns: Any, name: str, push_endpoint: str) -> str:
    """A topic that keeps events until they are delivered, or another address for one that is there."""

    def add_header(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Forwarded-Proto"] = "https"

    sns.meta.events.register("before-call.sns.CreateTopic", add_header)
    attributes = {**KEPT, "push-endpoint": push_endpoint}
    arn: str = (await sns.create_topic(Name=name, Attributes=attributes))["TopicArn"]
    return arn


async def _outlives(service: Service, work: Coroutine[Any, Any, None]) -> bool:
    """Whether a daemon is there until work that needs it is done."""
    death, working = asyncio.create_task(service.died()), asyncio.create_task(work)
    await asyncio.wait({death, working}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        death.cancel()
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


def is_installed() -> bool:
    """Whether everything that a gateway needs is on this machine."""
    return all(map(which, _COMMANDS))


@asynccontextmanager
async def ceph_gateway(folder: Path) -> AsyncIterator[Ceph]:
    """A gateway over an empty cluster of its own in `folder`, until the context ends.

    Raises:
        ServiceFailed: a command or a daemon failed.
    """
    port, mon_port = free_port(), free_port()
    cluster, osd = str(uuid4()), str(uuid4())
    configuration = folder / "ceph.conf"
    configuration.write_text(
        _CONFIGURATION.format(cluster=cluster, folder=folder, port=port, mon_port=mon_port)
    )
    env = os.environ | {"CEPH_CONF": str(configuration)}
    ceph = Ceph(f"http://127.0.0.1:{port}", secrets.token_hex(10), secrets.token_hex(20))

    def daemon(*command: str) -> AbstractAsyncContextManager[Service]:
        return running(command[0], command, log=folder / f"{command[0]}.out", env=env)

    async def do(*command: str | Path) -> None:
        async with (
            asyncio.timeout(_COMMAND_WITHIN),
            running(str(command[0]), command, log=folder / "commands.out", env=env) as service,
        ):
            if await service.process.wait():
                raise await service.died()

    for name in ("mon", "osd"):
        (folder / name).mkdir()
    monitors = folder / "monmap"
    address = f"[v1:127.0.0.1:{mon_port}]"
    await do("monmaptool", "--create", "--fsid", cluster, "--addv", "a", address, monitors)
    await do("ceph-mon", "-i", "a", "--mkfs", "--monmap", monitors)
    async with daemon("ceph-mon", "-i", "a", "-f"):
        await do("ceph", "osd", "new", osd, "0")
        await do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        async with AsyncExitStack() as stack:
            user = ("--uid", "darkroom", "--display-name", "Darkroom")
            keys = ("--access-key", ceph.access_key, "--secret", ceph.secret_key)
            for _ in range(10):
                # Now and then it speaks before it has learnt the cluster's id, is refused, and ends.
                osd_daemon = await stack.enter_async_context(daemon("ceph-osd", "-i", "0", "-f"))
                if await _outlives(osd_daemon, do("radosgw-admin", "user", "create", *user, *keys)):
                    break
            else:
                raise await osd_daemon.died()
            async with daemon("radosgw", "-n", "client.rgw", "-f") as gateway:
                async with httpx.AsyncClient(trust_env=False) as http:

                    async def answers() -> bool:
                        return (await http.get(ceph.endpoint)).is_success

                    await ready(gateway, answers, httpx.HTTPError)
                async with ceph.client("sns") as sns:
                    for topic in TOPICS:
                        await _make_topic(sns, topic, _NOWHERE)
                yield ceph
