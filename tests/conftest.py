"""Real services for every test, each test in a corner of its own."""

import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from jobs.bucket import make_bucket, prepare_bucket
from jobs.embedded import Embedded, embedded_services
from jobs.ports import Services
from jobs.services import open_services
from jobs.settings import Settings
from tests.browser import CHROMIUM, open_browser
from tests.ceph import Ceph, ceph_gateway, is_installed
from tests.imaging import samples
from tests.system import System, running_system


@pytest.fixture(scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Embedded]:
    """MongoDB, Valkey and the S3 server, as `make run` starts them."""
    async with embedded_services(tmp_path_factory.mktemp("embedded")) as services:
        yield services


@pytest.fixture(scope="session")
async def ceph(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ceph]:
    """Ceph's object gateway: a second opinion on what a store does."""
    if not is_installed():
        if os.environ.get("CI"):  # where nobody reads that something was left out
            pytest.fail("Debian's radosgw is not installed: see .ci/run")
        pytest.skip("Debian's radosgw is not installed")
    async with ceph_gateway(tmp_path_factory.mktemp("ceph")) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The packages of npm that `tests/clients` names: clients, and audits of servers, by others."""
    installed = Path(sys.prefix, "clients", "node_modules")
    if not installed.exists():
        if os.environ.get("CI"):
            pytest.fail("npm is not installed: see .ci/run")
        pytest.skip("npm is not installed; where it is, `make test` installs what tests/clients names")
    return installed


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, as Debian has it."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Debian's chromium is not installed: see .ci/run")
        pytest.skip("chromium is not installed")
    async with open_browser(CHROMIUM) as running:
        yield running


@pytest.fixture(params=["embedded", "ceph"])
def each_store(request: pytest.FixtureRequest) -> Settings:
    """Settings for one store after the other; there is no bucket yet."""
    corner: Settings = request.getfixturevalue("corner" if request.param == "embedded" else "ceph_corner")
    return corner


@pytest.fixture
def ceph_corner(corner: Settings, ceph: Ceph) -> Settings:
    """Settings with the same names, whose bucket is in Ceph."""
    return Settings.model_validate(
        corner.model_dump()
        | {"s3_endpoint": ceph.endpoint, "s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    )


@pytest.fixture
def corner(embedded: Embedded) -> Settings:
    """Settings with names that no other test knows; there is no bucket yet."""
    return settings_for(embedded, f"test-{secrets.token_hex(6)}")


@pytest.fixture
async def settings(corner: Settings) -> Settings:
    """The same with a bucket that tells a queue of what is uploaded."""
    queue_url = await prepare_bucket(corner, events_queue=corner.namespace)
    return corner.model_copy(update={"events_queue_url": queue_url})


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    """Everything that the use cases need, opened as the processes do."""
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def api(embedded: Embedded) -> AsyncIterator[System]:
    """The API alone, for all tests of a module that ask no more of it than answers."""
    settings = settings_for(embedded, f"test-{secrets.token_hex(6)}")
    await make_bucket(settings)
    async with running_system(settings, worker=False, events=False) as running:
        yield running


@pytest.fixture
def photo(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A small photograph that no other test has uploaded: it would not be uploaded again."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(samples.saved(samples.picture(), "jpeg", comment=request.node.name))
    return path


def settings_for(embedded: Embedded, corner: str, **more: object) -> Settings:
    """Settings that point at the embedded services, with everything named after `corner`."""
    return Settings.model_validate(
        {
            "mongo_url": embedded.mongo_url,
            "mongo_database": corner,
            "redis_url": embedded.redis_url,
            "namespace": corner,
            "s3_endpoint": embedded.s3_endpoint,
            "s3_bucket": corner,
            "s3_access_key": embedded.access_key,
            "s3_secret_key": embedded.secret_key,
            "hook_token": "a-token-of-the-tests",
            "auth": "none",
            **more,
        }
    )
