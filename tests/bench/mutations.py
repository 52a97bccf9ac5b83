"""`createUploads` of ten files: what signing costs, and what parsing and validating would.

Processor time of this process, over the schema as it is served, without a network: the catalog keeps nothing,
so that the API alone is measured. Rounds of all kinds alternate; the figures are medians.
"""

import os
import statistics
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import aioboto3
import strawberry
from aiobotocore.config import AioConfig
from limits.aio.storage import RedisStorage
from rich.console import Console
from rich.table import Table
from strawberry.schema.config import StrawberryConfig

from api.auth import Caller
from api.context import Context
from api.interpreter import relax_collector
from api.limits import Limiter
from api.schema import Mutation, Query, Subscription, schema
from api.types import SCALARS
from api.types import Image as ImageType
from jobs.clock import now
from jobs.images import Image
from jobs.ports import Services, Target
from jobs.settings import Settings
from jobs.storage import S3Storage

T = TypeVar("T")

ROUNDS = 5 if os.environ.get("QUICK") else 15
SECONDS = 0.3  # of each round
FILES = 10
_QUERY = """
mutation ($input: CreateUploadsInput!) {
  createUploads(input: $input) {
    results {
      ... on UploadTarget { image { id } method url headers { name value } }
      ... on InvalidFile { filename code message }
    }
  }
}
"""
_FILE = {"filename": "photo.jpg", "contentType": "image/jpeg", "byteSize": 123_456}
_NOBODY: Any = None  # in the place of what no mutation here needs


class _Way(NamedTuple):
    """A way to serve the mutation."""

    name: str
    served: strawberry.Schema
    storage: Any


async def main() -> None:
    """Print the table."""
    settings = Settings.model_validate(
        {
            "mongo_url": "mongodb://store.example",
            "redis_url": "redis://store.example",
            "s3_bucket": "bucket",
            "s3_access_key": "AKIAEXAMPLE",
            "s3_secret_key": "secret",
            "s3_endpoint": "http://store.example:9000",
            "auth": "none",
            "rate_creations": "none",
        }
    )
    stock = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ImageType],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    session = aioboto3.Session("AKIAEXAMPLE", "secret", region_name=settings.s3_region)
    config = AioConfig(signature_version="s3v4", s3={"addressing_style": "path"})
    async with session.client("s3", endpoint_url=settings.s3_endpoint, config=config) as client:
        signing = S3Storage(_NOBODY, settings, now)
        ways = [
            _Way("Darkroom", schema, signing),
            _Way("without signing", schema, _Unsigned()),
            _Way("without caches", stock, signing),
            _Way("aioboto3's presigning, without caches", stock, _SignedByTheSdk(client)),
        ]
        relax_collector()  # as `darkroom api` does
        rates: dict[str, list[float]] = {way.name: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                rates[way.name].append(await _rate(way, settings))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    table = Table(title=f"createUploads of {FILES} files, per second of one core", title_justify="left")
    for column in ("", "median", "Darkroom to it", "target"):
        table.add_column(column, justify="right" if column else "left")
    targets = {"without signing": ">= 0.8", "aioboto3's presigning, without caches": ">= 10"}
    for name, rate in medians.items():
        ratio = medians["Darkroom"] / rate
        table.add_row(name, f"{rate:,.0f}", f"{ratio:.2f}", targets.get(name, ""))
    Console().print(table)


async def _rate(way: _Way, settings: Settings) -> float:
    """How many a second of processor time."""
    catalog: Any = _Forgetful()
    services = Services(
        settings=settings,
        catalog=catalog,
        feed_log=_NOBODY,
        storage=way.storage,
        queue=_NOBODY,
        bus=_NOBODY,
        clock=now,
    )
    limiter = Limiter(
        settings, RedisStorage("async+redis://store.example:6379", implementation="redispy"), now
    )
    variables: dict[str, Any] = {"input": {"files": [_FILE] * FILES}}
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < SECONDS:
        context = Context(services, _NOBODY, Caller("ada"), limiter=limiter)
        result = await way.served.execute(_QUERY, variable_values=variables, context_value=context)
        if result.errors or result.data is None:
            raise RuntimeError(f"no targets: {result.errors}")
        done += 1
    return done / spent


class _Forgetful:
    """A catalog that keeps nothing."""

    async def add(self, images: Sequence[Image]) -> None:
        """Forget them."""


class _Unsigned:
    """A storage that signs nothing: the limit of what signing can win."""

    def presign_upload(self, key: str, *, content_type: str, **_: object) -> Target:
        """A target with the same headers."""
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        return Target("PUT", f"http://store.example:9000/bucket/{key}", headers)


class _SignedByTheSdk:
    """A storage that lets the SDK sign."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, expires_in: int, **_: object
    ) -> Target:
        """The same target."""
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        parameters = {
            "Bucket": "bucket",
            "Key": key,
            "ContentType": content_type,
            "ContentLength": byte_size,
            "IfNoneMatch": "*",
        }
        url = self._client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=expires_in)
        return Target("PUT", _result(url), headers)


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("it waits for something")
