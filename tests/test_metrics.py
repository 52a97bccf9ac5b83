"""Metrics: what is counted while things happen, who is told of it, and that it is written down."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from api.listener import listen_on
from api.metrics import MetricsEndpoint, serving_metrics
from jobs.errors import ProblemCode, SettingsError, Unavailable
from jobs.images import Image, Move
from jobs.ports import Services
from jobs.process import TryAgain, process
from jobs.queue import RedisQueue
from jobs.requests import delete
from jobs.settings import Settings
from jobs.stages import Stage
from jobs.supervise import free_port
from tests.records import an_image
from tests.sockets import EVERYTHING, INIT, connected, opened, subscribe
from tests.system import System, environment_for, running_system, until, working
from tests.test_bounded_socket import Impatient, Patient, Talk, deaf_client
from tests.test_bounded_socket import serving as serving_talk
from tests.test_ingest import AwayQueue
from tests.test_process import Forgetful, Scripted, arrived, raising
from tests.test_system import CREATE, a_photo, create, followed, put

README = Path(__file__).parent.parent / "README.md"
LINE = re.compile(r"^\| `(darkroom_\w+)` \| (\w+) \| (?:`(\w+)`)? ?\| (.+) \|$", re.MULTILINE)


def counted(name: str, **labels: str) -> float:
    """What this process has counted so far."""
    value = REGISTRY.get_sample_value(f"darkroom_{name}", labels)
    assert value is not None, f"there is no {name} {labels}"
    return value


async def scraped(url: str, **headers: str) -> str:
    """What Prometheus is told there."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def names(text: str) -> set[str]:
    """The metrics that a scrape has."""
    return {family.name for family in text_string_to_metric_families(text)}


def test_the_readme_lists_every_metric_and_no_other() -> None:
    """With its type, its label, and each value of that which is there from the start."""
    section = README.read_text().split("## Metrics and logs")[1].split("\n## ")[0]
    listed = {name: (kind, label, told) for name, kind, label, told in LINE.findall(section)}
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in REGISTRY.collect()
        if family.name.startswith("darkroom_")
    }
    assert set(listed) == set(families)
    for name, (kind, label, told) in listed.items():
        assert kind == families[name].type
        labels = [sample.labels for sample in families[name].samples]
        assert {key for each in labels for key in each} - {"le"} == ({label} - {""})
        values = {each[label] for each in labels if label}
        if label not in ("stage", ""):  # stages have a table of their own
            assert values - set(ProblemCode) <= set(re.findall(r"`(\w+)`", told))
    stages = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", section, re.MULTILINE)
    assert stages == list(Stage)


async def test_the_whole_way_is_counted(settings: Settings) -> None:
    """Each thing once, and nothing by image or owner."""

    def now() -> dict[str, float]:
        stages = {stage.value: counted("stage_duration_seconds_count", stage=stage) for stage in Stage}
        given, ready = counted("targets_total", answer="given"), counted("uploads_total", outcome="ready")
        return {"given": given, "ready": ready, **stages}

    before = now()
    async with running_system(settings) as system:
        body = a_photo()
        target = await create(system, body)
        following = asyncio.create_task(followed(system, target["image"]["id"]))

        async def is_followed() -> bool:
            return counted("subscriptions", kind="imageUpdates") == 1

        await until(is_followed)
        assert counted("sockets") == 1
        assert await put(system, target, body) == 200
        states = await following
        text = await scraped(system.url)

        async def nobody_follows() -> bool:
            return counted("subscriptions", kind="imageUpdates") == counted("sockets") == 0

        await until(nobody_follows)
    after = now()
    assert after.pop(Stage.PUBLISH) > before.pop(Stage.PUBLISH)  # of a few states, the latest may do
    assert after == {name: value + 1 for name, value in before.items()}
    assert states[-1]["status"] == "READY"
    assert "img_" not in text
    assert "local" not in text
    assert {"process_resident_memory_bytes", "darkroom_queue_jobs"} <= names(text)


async def test_what_is_asked_for_again_is_no_other_upload(api: System) -> None:
    """With the same key, a target is repeated; it is given once."""

    def now() -> dict[str, float]:
        return {
            answer: counted("targets_total", answer=answer) for answer in ("given", "repeated", "EMPTY_FILE")
        }

    files = [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": size} for size in (5, 6, 0)]
    await api.execute(CREATE, input={"files": files})
    before = now()
    for _ in range(3):
        await api.execute(CREATE, input={"files": files, "idempotencyKey": "again"})
    assert now() == {
        "given": before["given"] + 2,
        "repeated": before["repeated"] + 4,
        "EMPTY_FILE": before["EMPTY_FILE"] + 3,
    }


async def test_feeds_are_counted_while_they_run(api: System) -> None:
    """A subscription of the other kind."""

    async def count_is(expected: int) -> None:
        async def it_is() -> bool:
            return counted("subscriptions", kind="feed") == expected

        await until(it_is)

    async with opened(api.url) as socket:
        await socket.send(subscribe(**EVERYTHING))
        await count_is(1)
    await count_is(0)


async def test_the_queue_is_measured_when_somebody_asks(settings: Settings) -> None:
    """How many jobs there are, and since when the first of them is due."""
    async with running_system(settings, worker=False, events=False) as system:
        await scraped(system.url)
        assert (counted("queue_jobs"), counted("queue_oldest_seconds")) == (0, 0)
        for _ in range(2):
            await system.services.queue.enqueue(an_image(round=1))

        async def is_older() -> bool:
            await scraped(system.url)
            return counted("queue_oldest_seconds") > 0

        await until(is_older)
        assert counted("queue_jobs") == 2


async def test_a_queue_that_is_away_is_not_told_to_be_empty() -> None:
    """Nobody is alarmed by what was true a while ago, and the rest is told."""
    async with asking(MetricsEndpoint(AwayQueue(), None)) as http:
        text = (await http.get("/metrics")).text
    assert "darkroom_queue_jobs NaN" in text
    assert "darkroom_uploads_total" in text


@pytest.mark.parametrize(("protocol", "reason"), [(Impatient, "stalled"), (Patient, "silent")])
async def test_clients_that_are_cut_off_are_counted(protocol: type[Impatient | Patient], reason: str) -> None:
    """With the reason."""
    before = counted("sockets_dropped_total", reason=reason)
    talk = Talk(limit=None if reason == "stalled" else 0)
    pings = {} if reason == "stalled" else {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.05}
    async with serving_talk(talk, protocol, **pings) as port, deaf_client(port):
        await talk.ended.wait()
    assert counted("sockets_dropped_total", reason=reason) == before + 1


async def test_what_limits_refuse_is_counted(settings: Settings) -> None:
    """By the limit that it was refused by."""
    limited = settings.model_copy(
        update={
            "rate_creations": "1/day",
            "rate_queries": "3/day",
            "quota_bytes_per_day": 1,
            "max_sockets_per_owner": 1,
        }
    )

    def now() -> dict[str, float]:
        return {
            limit: counted("refusals_total", limit=limit)
            for limit in ("operations", "uploads", "bytes", "cost", "body", "sockets")
        }

    before = now()
    async with running_system(limited, worker=False, events=False) as system:
        assert (await system.http.post(f"{system.url}/graphql", content=b"x" * 900_000)).status_code == 413
        assert "errors" in await system.execute("{ " + "a: __typename " * 40 + "}")
        async with opened(system.url), connected(system.url) as second:
            await second.send(INIT)
            assert (await second.closed())[0] == 1013
        files = [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": size} for size in (5, 1)]
        await system.execute(CREATE, input={"files": files})  # the first is too large, the second too many
        assert "errors" not in await system.execute("{ __typename }")
        assert "errors" in await system.execute("{ __typename }")
    assert now() == {limit: value + 1 for limit, value in before.items()}


async def test_attempts_that_run_again_are_counted(services: Services) -> None:
    """Those that the file may have ended, as such."""
    before = counted("retries_total", reason="failed")
    image = await arrived(services)
    with pytest.raises(TryAgain):
        await process(image.id, services, Scripted(raising(RuntimeError("broken"))))
    assert counted("retries_total", reason="failed") == before + 1


async def test_jobs_that_wait_for_a_service_are_counted(services: Services) -> None:
    """As what they are."""
    before = counted("retries_total", reason="unavailable")
    image = await arrived(services, preset="nobody-knows-it")
    await services.queue.enqueue(image)
    async with working(services.settings):

        async def is_put_off() -> bool:
            return counted("retries_total", reason="unavailable") > before

        await until(is_put_off)


async def test_leases_that_are_lost_are_counted(services: Services) -> None:
    """Somebody else has deleted the image while it was developed."""
    before = counted("leases_lost_total")
    image = await arrived(services)
    developer = Scripted(lambda: delete(image.id, image.owner, services))
    await process(image.id, services, developer)
    assert counted("leases_lost_total") == before + 1


async def test_a_lost_lease_is_counted_once(services: Services) -> None:
    """Though the catalog is away when what was shown is asked for, and it is tried again."""
    before = counted("leases_lost_total")
    image = await arrived(services)

    class Stumbling(Forgetful):
        """Gives no record when it is first asked."""

        asked = 0

        async def get(self, image_id: str) -> Image | None:
            """Answer the second time."""
            self.asked += 1
            if self.asked == 1:
                raise Unavailable("Away.")
            return await services.catalog.get(image_id)

    stumbling: Any = Stumbling(services.catalog, Move.RETARGET, moves=False)
    developer = Scripted(lambda: delete(image.id, image.owner, services))
    with pytest.raises(Unavailable):
        await process(image.id, replace(services, catalog=stumbling), developer)
    assert stumbling.asked == 2
    assert counted("leases_lost_total") == before + 1


@asynccontextmanager
async def asking(endpoint: MetricsEndpoint, client: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client at an address, of an application that has nothing else."""
    app = Starlette(routes=[Route("/metrics", endpoint.answer)])
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield http


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {"Host": "localhost:8000"}, 200),
        ("192.0.2.7", {}, 401),
        ("127.0.0.1", {"Host": "rebound.example"}, 401),
        ("127.0.0.1", {"Origin": "https://shop.example"}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("127.0.0.1", {"Authorization": "Bearer "}, 200),
    ],
)
async def test_without_a_token_only_programs_on_this_machine_are_told(
    client: str, headers: dict[str, str], status: int
) -> None:
    """No page, and nobody who comes by a proxy."""
    async with asking(MetricsEndpoint(AwayQueue(), SecretStr("")), client) as http:
        assert (await http.get("/metrics", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer a-token"}, 200),
        ({"Authorization": "bearer a-token", "X-Forwarded-For": "192.0.2.7"}, 200),
        ({"Authorization": "Bearer another"}, 401),
        ({"Authorization": "Basic a-token"}, 401),
        ({"Authorization": "Bearer ä"}, 401),
        ({}, 401),
    ],
)
async def test_with_a_token_whoever_knows_it_is_told(headers: dict[str, str], status: int) -> None:
    """From this machine, too."""
    sent = httpx.Headers(headers, encoding="utf-8")
    async with asking(MetricsEndpoint(AwayQueue(), SecretStr("a-token"))) as http:
        assert (await http.get("/metrics", headers=sent)).status_code == status


@pytest.mark.parametrize("command", ["worker", "events"])
async def test_processes_that_serve_nothing_else_tell_of_themselves(command: str, services: Services) -> None:
    """Where they were told to, while they work; and they still end when they are asked to."""
    port = free_port()
    queue = services.queue
    assert isinstance(queue, RedisQueue)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.cli",
        command,
        "--metrics-port",
        str(port),
        env=environment_for(services.settings),
    )

    async def text() -> str | None:
        if command == "worker" and not await queue.listeners():
            return None  # until then, it would not end in order
        try:
            return await scraped(f"http://127.0.0.1:{port}")
        except httpx.TransportError:
            assert process.returncode is None
            return None

    try:
        assert {"darkroom_stage_duration_seconds", "darkroom_queue_jobs", "process_cpu_seconds"} <= names(
            await until(text)
        )
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0


async def test_others_than_this_machine_need_a_token(settings: Settings) -> None:
    """Else nothing starts."""
    with pytest.raises(SettingsError, match="DARKROOM_METRICS_TOKEN is missing"):
        async with serving_metrics(settings, "0.0.0.0", free_port()):  # noqa: S104
            pass


@pytest.mark.parametrize("command", ["worker", "events"])
@pytest.mark.parametrize(
    ("host", "reason"),
    [("0.0.0.0", "DARKROOM_METRICS_TOKEN is missing"), ("127.0.0.1", "port")],  # noqa: S104
)
async def test_where_metrics_cannot_be_told_nothing_starts(
    corner: Settings, command: str, host: str, reason: str
) -> None:
    """For want of a token, or because the port is taken; one line says so."""
    with listen_on("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.cli", command, "--metrics-host", host, "--metrics-port", port,
            env=environment_for(corner), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert line.startswith("darkroom: ")
    assert reason in line
