"""Stats: what an administrator is told of everybody's images together."""

from datetime import timedelta
from typing import Any

import pytest

from api.stats import MAX_SAMPLE, Stats
from jobs.catalog import open_catalog
from jobs.images import Status, StatusChange
from jobs.ports import Services
from jobs.settings import Settings
from tests.records import an_image
from tests.system import System, running_system

QUERY = "{ stats { counts { status count } queueDepth oldestJobSeconds stages { stage count p50 p95 p99 } } }"


def developed(services: Services, seconds: float, *, ago: timedelta = timedelta(minutes=1)) -> Any:
    """An image that a worker developed in so many seconds, and ended so long ago."""
    end = services.clock() - ago
    began = end - timedelta(seconds=seconds)
    states = ((Status.PENDING, 9), (Status.UPLOADED, 4), (Status.PROCESSING, 0))
    timeline = [
        StatusChange(status=status, at=began - timedelta(seconds=before)) for status, before in states
    ]
    return an_image(
        owner=f"owner-{seconds}",
        status=Status.READY,
        finished_at=end,
        timeline=(*timeline, StatusChange(status=Status.READY, at=end)),
    )


async def test_everybodys_images_are_counted_and_measured(settings: Settings) -> None:
    """Of the last hour, each stage by its percentiles; a stage that nobody knows of is left out."""
    async with running_system(settings, worker=False, events=False) as system:
        services = system.services
        images = [developed(services, seconds) for seconds in range(1, 101)]
        await services.catalog.add([*images, developed(services, 5_000, ago=timedelta(hours=2)), an_image()])
        stats = await the_stats(system)
        assert (stats["queueDepth"], stats["oldestJobSeconds"]) == (0, None)
        counts = {item["status"]: item["count"] for item in stats["counts"]}
        assert counts == dict.fromkeys(Status, 0) | {"READY": 101, "PENDING": 1}
        assert stats["stages"] == [
            {"stage": "UPLOAD", "count": 100, "p50": 5, "p95": 5, "p99": 5},
            {"stage": "QUEUE_WAIT", "count": 100, "p50": 4, "p95": 4, "p99": 4},
            {"stage": "DEVELOP", "count": 100, "p50": 50, "p95": 95, "p99": 99},
        ]
        await services.queue.enqueue(images[0])
        stats = await the_stats(system)
        assert stats["queueDepth"] == 1
        assert stats["oldestJobSeconds"] >= 0


async def test_one_query_has_them_a_few_times(api: System) -> None:
    """The database counts long, however little is asked of what it counts."""

    def query(times: int) -> str:
        return "{ " + " ".join(f"s{number}: stats {{ queueDepth }}" for number in range(times)) + " }"

    assert "errors" not in await api.execute(query(4))
    refused = await api.execute(query(5))
    assert refused["errors"][0]["extensions"]["code"] == "QUERY_TOO_COSTLY"


async def the_stats(system: System) -> dict[str, Any]:
    """What the API says."""
    answer = await system.execute(QUERY)
    assert "errors" not in answer, answer
    stats: dict[str, Any] = answer["data"]["stats"]
    return stats


async def test_no_more_is_read_than_is_needed(services: Services) -> None:
    """Of very many images, the latest."""
    older = [developed(services, 9, ago=timedelta(minutes=30)) for _ in range(3)]
    latest = [developed(services, 1) for _ in range(MAX_SAMPLE)]
    await services.catalog.add([*older, *latest])
    stats = await Stats.of(services)
    assert {(times.count, times.p99) for times in stats.stages if times.stage.name == "DEVELOP"} == {
        (MAX_SAMPLE, 1)
    }


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_an_index_has_what_is_counted_and_measured(corner: Settings, driver: str) -> None:
    """Nothing but what is told of is looked at, and nothing is sorted: by the database's own word."""
    from pymongo import AsyncMongoClient

    settings = corner.model_copy(update={"mongo_driver": driver})
    async with open_catalog(settings) as catalog, AsyncMongoClient[Any](corner.mongo_url) as client:
        database = client[corner.mongo_database]
        await database.command("profile", 2)
        await catalog.add([an_image(status=status) for status in Status for _ in range(5)])
        ended = [an_image(status=Status.READY, finished_at=an_image().created_at) for _ in range(5)]
        await catalog.add(ended)
        await catalog.count(Status.PENDING, limit=100)
        await catalog.finished_since(an_image().created_at, limit=3)
        await database.command("profile", 0)
        asked = {"op": {"$in": ["command", "query"]}, "ns": f"{corner.mongo_database}.images"}
        profiled = await database["system.profile"].find(asked).to_list(None)
    count, find = (
        [entry for entry in profiled if kind in entry["command"]][-1] for kind in ("aggregate", "find")
    )
    assert (count["keysExamined"], count["docsExamined"]) == (5, 0)
    assert find["docsExamined"] == 3
    assert not find.get("hasSortStage", False)
