"""`darkroom dev` as a user runs it: one command, and nothing left when it is over."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from api.client import Client
from jobs.supervise import free_port
from tests.imaging import samples
from tests.system import until

DARKROOM = Path(sys.executable).with_name("darkroom")
PATIENCE = 60.0  # seconds within which all of it has started or ended


@dataclass(frozen=True)
class Dev:
    """The command, running, and every process that it started."""

    process: asyncio.subprocess.Process
    out: Path
    err: Path
    port: int

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        """The processes below it, theirs included."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def named(self, name: str) -> psutil.Process:
        """The one of them whose command says `name`."""
        (found,) = [child for child in self.family() if name in " ".join(child.cmdline()[:4])]
        return found

    async def ended(self) -> int:
        """Its exit status."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def complaint(self) -> list[str]:
        """What `darkroom` itself wrote to stderr, among what its services log."""
        return [line for line in self.err.read_text().splitlines() if line.startswith("darkroom: ")]


@asynccontextmanager
async def dev(
    tmp_path: Path, *, port: int | None = None, ready: bool = True, cwd: Path | None = None, **settings: str
) -> AsyncIterator[Dev]:
    """The command over data in `tmp_path`; whatever a failed test leaves of it is killed."""
    port = port or free_port()
    out, err = tmp_path / "out", tmp_path / "err"
    family: list[psutil.Process] = []
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            DARKROOM, "dev", "--port", str(port), "--data-dir", tmp_path / "data",
            stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            env=os.environ | settings, start_new_session=True, cwd=cwd,
        )  # fmt: skip
    running = Dev(process, out, err, port)

    async def announced() -> bool:
        assert process.returncode is None, err.read_text()
        return "Ctrl-C stops" in out.read_text()

    try:
        if ready:
            await until(announced, within=PATIENCE)
        family = running.family()
        yield running
    finally:
        family += running.family()
        if process.returncode is None:
            process.kill()
        await process.wait()
        for child in family:
            if child.is_running():
                child.kill()


async def gone(family: list[psutil.Process]) -> None:
    """Wait until none of them runs."""

    async def none_left() -> bool:
        return not any(
            child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family if _there(child)
        )

    await until(none_left, within=PATIENCE)


def _there(child: psutil.Process) -> bool:
    try:
        return child.is_running() and bool(child.status())
    except psutil.NoSuchProcess:
        return False


async def test_all_of_it_starts_stops_and_starts_again(tmp_path: Path) -> None:
    """What was uploaded before Ctrl-C is there after the next start, and no process in between."""
    (tmp_path / "photo.jpg").write_bytes(samples.source())
    async with dev(tmp_path) as first, httpx.AsyncClient() as http:
        said = first.out.read_text()
        assert f"{first.url}/graphql" in said
        assert str(tmp_path / "data") in said.replace("\n", "")
        assert (await http.get(f"{first.url}/readyz")).status_code == 200
        upload = await asyncio.create_subprocess_exec(
            DARKROOM, "upload", tmp_path / "photo.jpg", "--url", first.url, stdout=asyncio.subprocess.DEVNULL
        )
        assert await upload.wait() == 0
        family = first.family()
        assert len(family) >= 7  # three services, API, events, a worker and its children
        first.process.send_signal(signal.SIGINT)
        assert await first.ended() == 0
        await gone(family)
        assert first.complaint() == []

    async with dev(tmp_path) as second, httpx.AsyncClient() as http:
        query = "{ images { edges { node { id status variants { url byteSize } } } } }"
        answer = await http.post(f"{second.url}/graphql", json={"query": query})
        (edge,) = answer.json()["data"]["images"]["edges"]
        assert edge["node"]["status"] == "READY"
        for variant in edge["node"]["variants"]:
            assert len((await http.get(variant["url"])).content) == variant["byteSize"]
        states = [image async for image in Client(second.url, http).updates([edge["node"]["id"]])]
        assert [state["status"] for state in states] == ["READY"]

        family = second.family()
        second.process.kill()
        assert await second.ended() == -signal.SIGKILL
        await gone(family)


@pytest.mark.parametrize(("victim", "name"), [("valkey-server", "valkey"), ("worker", "worker 1")])
async def test_the_death_of_one_ends_all(tmp_path: Path, victim: str, name: str) -> None:
    """One line says who died, how, and where to read more."""
    async with dev(tmp_path) as running:
        family = running.family()
        running.named(victim).kill()
        assert await running.ended() == 1
        await gone(family)
        log = tmp_path / "data" / f"{name}.log"
        more = f"; its log: {log}" if log.exists() else ""
        assert running.complaint() == [f"darkroom: {name} was ended by SIGKILL{more}"]


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with dev(tmp_path, port=port, ready=False) as running:
            assert await running.ended() == 1
    assert running.out.read_text() == ""
    assert running.err.read_text().splitlines() == [
        f"darkroom: port {port} is taken: choose another with --port"
    ]
    assert not (tmp_path / "data").exists()


async def test_a_proxy_is_not_asked_for_what_is_on_this_machine(tmp_path: Path) -> None:
    """Nor does it start less for a `.env` file, whose choices stand."""
    (tmp_path / ".env").write_text("DARKROOM_HOOK_TOKEN=mine\n")
    proxy = "http://127.0.0.1:9"
    async with dev(tmp_path, cwd=tmp_path, NO_PROXY="", HTTP_PROXY=proxy, http_proxy=proxy) as running:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{running.url}/hooks/storage",
                json={"Event": "s3:TestEvent"},
                headers={"Authorization": "Bearer mine"},
            )
        assert answer.status_code == 200


async def test_a_setting_that_is_wrong_is_named(tmp_path: Path) -> None:
    """In one line, and nothing is left running."""
    async with dev(tmp_path, ready=False, DARKROOM_PRESETS="{") as running:
        family: set[psutil.Process] = set()

        async def over() -> bool:
            family.update(running.family())
            return running.process.returncode is not None

        await until(over, within=PATIENCE)
        assert running.process.returncode == 1
        assert running.err.read_text().splitlines() == [
            "darkroom: DARKROOM_PRESETS is wrong: it is not valid JSON"
        ]
        await gone(list(family))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_can_be_stopped_while_it_starts(tmp_path: Path, signum: signal.Signals) -> None:
    """As soon as there is something to stop."""
    async with dev(tmp_path, ready=False) as running:

        async def children() -> list[psutil.Process]:
            return running.family()

        family = await until(children, within=PATIENCE)
        running.process.send_signal(signum)
        assert await running.ended() == 0
        await gone(family)
        assert running.complaint() == []
