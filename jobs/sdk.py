"""The object store's SDK: one way to make its clients, and what they raise."""

from aioboto3 import Session
from aiohttp import ClientError as HttpClientError
from botocore.exceptions import BotoCoreError, ClientError

from jobs.settings import Settings

# Everything a call can end in, but a mistake of ours.
SDK_ERRORS = (ClientError, BotoCoreError, HttpClientError, OSError)


def open_session(settings: Settings) -> Session:
    """A session that makes clients with the key and region of `settings`; it connects to nothing."""
    return Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        region_name=settings.s3_region,
    )
