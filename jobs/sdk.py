"""The object store's SDK: one way to open its clients, and what they raise."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from aioboto3 import Session
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpClientError
from botocore.exceptions import BotoCoreError, ClientError

from jobs.errors import SettingsError
from jobs.settings import Settings

# Everything a call can end in, but a mistake of ours.
SDK_ERRORS = (ClientError, BotoCoreError, HttpClientError, OSError)


@asynccontextmanager
async def open_client(
    settings: Settings,
    service: Literal["s3", "sqs"],
    *,
    endpoint: str | None,
    config: AioConfig,
    named: str = "DARKROOM_S3_ENDPOINT",
) -> AsyncIterator[Any]:
    """A client with the key and region of `settings`; it connects when it is first used.

    Args:
        endpoint: where the service is; nothing: Amazon's own.
        named: the setting from which `endpoint` comes.

    Raises:
        SettingsError: no client can be made with these.
    """
    token = settings.s3_session_token
    session = Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        aws_session_token=None if token is None else token.get_secret_value(),
        region_name=settings.s3_region,
    )
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(
                session.client(service, endpoint_url=endpoint, config=config)
            )
        except (BotoCoreError, ValueError) as error:
            raise SettingsError(f"{named} or DARKROOM_S3_REGION is wrong: {error}") from error
        yield client
