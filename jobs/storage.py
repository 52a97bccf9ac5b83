"""Storage: objects in an S3 bucket.

The one module that moves objects. Clients sign for the address that a browser sees, and read and write
through the one that this process sees; often the two are the same.
"""

import base64
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

import aioboto3
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpClientError
from botocore.exceptions import BotoCoreError, ClientError

from jobs.errors import Unavailable
from jobs.ports import ObjectChanged, ObjectMissing, Stored, Target
from jobs.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectRequestTypeDef

_CHUNK = 256 * 1024
_FOR_GOOD = "public, max-age=31536000, immutable"
_DELETE_LIMIT = 1_000  # keys that one DeleteObjects request takes


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator["S3Storage"]:
    """The bucket that `settings` name.

    Raises:
        Unavailable: it cannot be used as the settings say.
    """
    session = aioboto3.Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
    )
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": settings.s3_addressing},
        # A checksum that the client was not told of would be signed, and then missing.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=50,
        retries={"mode": "standard", "max_attempts": 3},
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            session.client("s3", endpoint_url=settings.s3_endpoint, config=config)
        )
        signer = client
        if settings.s3_public_endpoint and settings.s3_public_endpoint != settings.s3_endpoint:
            signer = await stack.enter_async_context(
                session.client("s3", endpoint_url=settings.s3_public_endpoint, config=config)
            )
        storage = S3Storage(client, signer, settings.s3_bucket, settings.variants_base_url)
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

    def __init__(
        self, client: "S3Client", signer: "S3Client", bucket: str, variants_base_url: str | None = None
    ) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket
        self._variants_base_url = variants_base_url

    async def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, sha256: str | None, expires_in: int
    ) -> Target:
        params = {
            "Bucket": self._bucket,
            "Key": key,
            "ContentLength": byte_size,
            "ContentType": content_type,
            "IfNoneMatch": "*",  # an upload happens once
        }
        # A browser sets Content-Length by itself and forbids scripts to: it is signed, not listed.
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        if sha256 is not None:
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            params["ChecksumSHA256"] = checksum
            headers["x-amz-checksum-sha256"] = checksum
        url = await self._signer.generate_presigned_url("put_object", Params=params, ExpiresIn=expires_in)
        return Target("PUT", url, headers)

    async def download_url(self, key: str, *, expires_in: int) -> str:
        if self._variants_base_url is not None:
            return f"{self._variants_base_url.rstrip('/')}/{quote(key)}"
        return await self._signer.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=expires_in
        )

    async def attachment_url(self, key: str, *, expires_in: int) -> str:
        return await self._signer.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentType": "application/octet-stream",
                "ResponseContentDisposition": "attachment",
            },
            ExpiresIn=expires_in,
        )

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
                await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )

    async def keys(self, prefix: str) -> list[str]:
        found: list[str] = []
        with _reaching():
            async for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            ):
                found += [item["Key"] for item in page.get("Contents", [])]
        return found

    async def ping(self) -> None:
        try:
            with _reaching():
                await self._client.head_bucket(Bucket=self._bucket)
        except ObjectMissing as error:
            raise Unavailable("The object store has no such bucket.") from error


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
    except (BotoCoreError, HttpClientError, OSError) as error:
        raise Unavailable("The object store does not answer.") from error
