"""Storage: objects in an S3 bucket.

The one module that moves objects. URLs are signed for the address that a browser sees; this process
reads and writes through the one that it sees itself. Often the two are the same.
"""

import base64
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from jobs.clock import Clock
from jobs.errors import Unavailable
from jobs.ports import Listed, ObjectChanged, ObjectMissing, Stored, Target
from jobs.sdk import SDK_ERRORS, open_client
from jobs.settings import Settings
from jobs.sigv4 import MAX_LIFETIME, Credentials, encode_key, presign

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectRequestTypeDef

_CHUNK = 256 * 1024
_FOR_GOOD = "public, max-age=31536000, immutable"
_OVER = timedelta(hours=1)  # since when a target is expired that must not be used
_DELETE_LIMIT = 1_000  # keys that one DeleteObjects request takes


@asynccontextmanager
async def open_storage(settings: Settings, clock: Clock) -> AsyncIterator["S3Storage"]:
    """The bucket that `settings` name.

    Raises:
        SettingsError: the settings make no sense.
        Unavailable: it cannot be used as they say.
    """
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": settings.s3_addressing},
        # A checksum that the client was not told of would be signed, and then missing.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=10,  # tried three times, it must end within an attempt of a job
        max_pool_connections=50,
        retries={"mode": "standard", "max_attempts": 3},
    )
    async with open_client(settings, "s3", endpoint=settings.s3_endpoint, config=config) as client:
        storage = S3Storage(client, settings, clock)
        try:
            await storage.ping()
        except Unavailable as error:
            raise Unavailable(
                f"The bucket “{settings.s3_bucket}” cannot be used: {error.message} "
                "See DARKROOM_S3_ENDPOINT, _BUCKET, _ACCESS_KEY and _SECRET_KEY."
            ) from error
        yield storage


class S3Storage:
    """`Storage` over one bucket."""

    def __init__(self, client: "S3Client", settings: Settings, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._bucket = settings.s3_bucket
        self._public = public_base(settings)
        self._variants_base_url = settings.variants_base_url
        token = settings.s3_session_token
        self._credentials = Credentials(
            settings.s3_access_key,
            settings.s3_secret_key.get_secret_value(),
            settings.s3_region,
            None if token is None else token.get_secret_value(),
        )

    def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, sha256: str | None, expires_in: int
    ) -> Target:
        headers = {"Content-Type": content_type, "If-None-Match": "*"}  # an upload happens once
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        # A browser sets Content-Length by itself and forbids scripts to: it is signed, not listed.
        signed = headers | {"Content-Length": str(byte_size)}
        return Target("PUT", self._presign("PUT", key, expires_in, headers=signed), headers)

    def download_url(self, key: str, *, expires_in: int) -> str:
        if self._variants_base_url is not None:
            return f"{self._variants_base_url.rstrip('/')}/{quote(key)}"
        return self._presign("GET", key, expires_in, steady=True)

    def attachment_url(self, key: str, *, expires_in: int) -> str:
        harmless = {
            "response-content-disposition": "attachment",
            "response-content-type": "application/octet-stream",
        }
        return self._presign("GET", key, expires_in, query=harmless, steady=True)

    async def head(self, key: str) -> Stored | None:
        try:
            with _reaching():
                found = await self._client.head_object(Bucket=self._bucket, Key=key)
        except ObjectMissing:
            return None
        return Stored(found["ContentLength"], found["ETag"], found["ContentType"])

    async def read(
        self, key: str, *, etag: str | None = None, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        options: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": key}
        if etag is not None:
            options["IfMatch"] = etag
        if start or stop is not None:
            options["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with _reaching():
            found = await self._client.get_object(**options)
            body = found["Body"]
            async with body:
                async for chunk in body.iter_chunks(_CHUNK):
                    yield chunk

    async def write(self, key: str, body: bytes, *, content_type: str) -> None:
        with _reaching():
            await self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, CacheControl=_FOR_GOOD
            )

    async def delete(self, keys: Iterable[str]) -> None:
        for batch in _batched(keys, _DELETE_LIMIT):
            with _reaching():
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            if errors := answer.get("Errors"):
                raise Unavailable(f"The object store does not delete: {errors[0].get('Code')}.")

    async def listing(self, prefix: str, *, page_size: int = 1_000) -> AsyncIterator[Listed]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": page_size}
        )
        with _reaching():
            async for page in pages:
                for item in page.get("Contents", []):
                    yield Listed(item["Key"], item["Size"], item["LastModified"], item["ETag"])

    async def ping(self) -> None:
        try:
            with _reaching():
                await self._client.head_bucket(Bucket=self._bucket)
        except ObjectMissing as error:
            raise Unavailable("The object store has no such bucket.") from error

    def _presign(
        self,
        method: str,
        key: str,
        expires_in: int,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        steady: bool = False,
    ) -> str:
        at = self._clock()
        if not expires_in:
            at, expires_in = at - _OVER, 1  # S3 knows no shorter lifetime
        elif steady:
            # The same URL for a while, so that a browser that asks for it again finds it in its cache.
            step = min(expires_in // 4, MAX_LIFETIME - expires_in) or 1
            at = datetime.fromtimestamp(at.timestamp() // step * step, UTC)
            expires_in += step - 1
        return presign(
            self._credentials,
            method,
            f"{self._public}/{encode_key(key)}",
            at=at,
            expires_in=expires_in,
            headers=headers,
            query=query,
        )


def public_base(settings: Settings) -> str:
    """The URL of the bucket as a browser sees it, without a slash at its end."""
    endpoint = (
        settings.s3_public_endpoint
        or settings.s3_endpoint
        or f"https://s3.{settings.s3_region}.amazonaws.com"
    ).rstrip("/")
    if settings.s3_addressing == "path":
        return f"{endpoint}/{settings.s3_bucket}"
    scheme, host = endpoint.split("://", 1)
    return f"{scheme}://{settings.s3_bucket}.{host}"


def _batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"404", "NoSuchKey", "NotFound"}:
            raise ObjectMissing from error
        if code in {"412", "PreconditionFailed"}:
            raise ObjectChanged from error
        raise Unavailable(f"The object store refuses: {code}.") from error
    except SDK_ERRORS as error:
        raise Unavailable("The object store does not answer.") from error
