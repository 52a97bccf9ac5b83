"""Child processes, and the embedded services that are some of them."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from jobs.bucket import prepare_bucket
from jobs.embedded import Embedded, embedded_services
from jobs.services import open_services
from jobs.supervise import ServiceFailed, first_death, free_port, port_is_free, running
from tests.conftest import settings_for
from tests.system import until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)",
]


async def test_a_child_lives_as_long_as_its_context() -> None:
    """And is asked to end when that ends, in a session of its own."""
    async with running("sleeper", SLEEPER) as service:
        assert psutil.pid_exists(service.process.pid)
        assert os.getsid(service.process.pid) == service.process.pid
    assert service.process.returncode == -signal.SIGTERM
    assert not psutil.pid_exists(service.process.pid)


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """After a while that can be chosen."""
    log = tmp_path / "deaf.log"

    async def deaf() -> bool:
        return "deaf" in log.read_text()

    async with running("deaf", STUBBORN, log=log, patience=0.1) as service:
        await until(deaf)
    assert service.process.returncode == -signal.SIGKILL


async def test_a_command_that_is_not_there_is_named() -> None:
    """With what was to be run."""
    with pytest.raises(ServiceFailed, match=r"^ghost cannot be run: /no/such/binary: No such file"):
        async with running("ghost", ["/no/such/binary"]):
            pass


async def test_a_child_that_dies_is_named(tmp_path: Path) -> None:
    """With its status and where to read more."""
    log = tmp_path / "brief.log"
    async with running("brief", [sys.executable, "-c", "print('last words'); exit(3)"], log=log) as service:
        death = await service.died()
    assert str(death) == f"brief ended with status 3; its log: {log}"
    assert log.read_text() == "last words\n"


async def test_the_first_of_many_deaths_is_told() -> None:
    """With the signal that it died of."""
    async with running("one", SLEEPER) as one, running("other", SLEEPER) as other:
        other.process.kill()
        assert str(await first_death([one, other])) == "other was ended by SIGKILL"


async def test_a_child_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    """And nothing else of the parent's."""
    log = tmp_path / "env.log"
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    async with running("env", [sys.executable, "-c", code], log=log, env={"ONE": "1"}) as service:
        await service.died()
    assert "PATH" not in json.loads(log.read_text())
    assert json.loads(log.read_text())["ONE"] == "1"


def test_a_port_is_none_that_outgoing_connections_get() -> None:
    """One of those could have it before whoever is to listen there."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1_024 <= free_port() < first for _ in range(50))


def test_a_port_is_free_until_somebody_listens() -> None:
    """And what is given out as free is."""
    port = free_port()
    assert port_is_free(port)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert not port_is_free(port)


async def test_services_listen_on_loopback_only(embedded: Embedded) -> None:
    """Each on at least one port, none where another machine could reach it."""
    for service in embedded.services:
        family = [parent := psutil.Process(service.process.pid), *parent.children(recursive=True)]
        listening = [
            connection.laddr.ip
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}, service.name


async def _turned_away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_data_outlive_a_restart_even_on_other_ports(tmp_path: Path) -> None:
    """Documents, keys, objects and the access key stay; whoever comes second while it runs is refused."""
    async with embedded_services(tmp_path) as before:
        with pytest.raises(ServiceFailed, match=f"^{tmp_path} is in use"):
            async with embedded_services(tmp_path):
                pass
        await _write(before)
    assert [service.process.returncode for service in before.services] == [0, 0, 0]

    async with embedded_services(tmp_path) as again:
        assert _where(again) == _where(before)
        assert await _read(again) == ("kept", b"kept", b"kept")

    async with AsyncExitStack() as stack:
        for port in json.loads((tmp_path / "ports.json").read_text()).values():
            await stack.enter_async_context(await asyncio.start_server(_turned_away, "127.0.0.1", port))
        elsewhere = await stack.enter_async_context(embedded_services(tmp_path))
        assert not {*_where(elsewhere)} & {*_where(before)}
        assert elsewhere.access_key == before.access_key
        assert await _read(elsewhere) == ("kept", b"kept", b"kept")


def _where(embedded: Embedded) -> tuple[str, str, str]:
    return embedded.mongo_url, embedded.redis_url, embedded.s3_endpoint


async def _write(embedded: Embedded) -> None:
    settings = settings_for(embedded, "restarted")
    await prepare_bucket(settings, events_queue="restarted")
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(embedded.mongo_url)
    async with mongo, Redis.from_url(embedded.redis_url) as redis, open_services(settings) as services:
        await mongo.restarted.things.insert_one({"_id": 1, "is": "kept"})
        await redis.set("thing", "kept")
        await services.storage.write("thing", b"kept", content_type="text/plain")


async def _read(embedded: Embedded) -> tuple[str, bytes, bytes]:
    settings = settings_for(embedded, "restarted")
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(embedded.mongo_url)
    async with mongo, Redis.from_url(embedded.redis_url) as redis, open_services(settings) as services:
        document = await mongo.restarted.things.find_one({"_id": 1})
        assert document is not None
        value = await redis.get("thing")
        return document["is"], value, b"".join([chunk async for chunk in services.storage.read("thing")])


async def test_a_service_that_dies_at_its_start_is_named_with_its_log(tmp_path: Path) -> None:
    """Here over data that it cannot read; those that had come up are stopped again."""
    broken = tmp_path / "valkey" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("no manifest\n")
    mine = {child.pid for child in psutil.Process().children()}
    with pytest.raises(
        ServiceFailed, match=rf"^valkey ended with status 1; its log: {tmp_path}/valkey\.log$"
    ):
        async with embedded_services(tmp_path):
            pass
    assert {child.pid for child in psutil.Process().children()} <= mine


@pytest.mark.parametrize("place", ["mongod", "valkey", "ministack", "s3"])
async def test_a_data_dir_that_is_not_ours_is_named(tmp_path: Path, place: str) -> None:
    """Where something else lies in the place of a folder."""
    (tmp_path / place).write_text("something else\n")
    with pytest.raises(ServiceFailed, match=f"^{tmp_path} cannot be used: {tmp_path}/{place}: File exists$"):
        async with embedded_services(tmp_path):
            pass


async def test_notes_that_were_cut_short_are_written_anew(tmp_path: Path) -> None:
    """A machine can lose its power at any time."""
    for name in ("ports.json", "s3-key.json"):
        (tmp_path / name).touch()
    async with embedded_services(tmp_path) as embedded:
        assert json.loads((tmp_path / "s3-key.json").read_text()) == [
            embedded.access_key,
            embedded.secret_key,
        ]
