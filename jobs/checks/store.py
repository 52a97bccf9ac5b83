"""Checks of the object store: that the bucket is there and ours, the time, and what removes objects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from jobs.bucket import make_bucket
from jobs.checks.result import Result, compare_clocks, fault, fixed, note, ok, reason
from jobs.clock import Clock
from jobs.errors import Unavailable
from jobs.images import SOURCES_PREFIX, VARIANTS_PREFIX
from jobs.sdk import SDK_ERRORS, open_client
from jobs.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

_WRONG_REGION = "set DARKROOM_S3_REGION to the bucket's"
_ADVICE = {
    "NoSuchBucket": "--fix makes it, or correct DARKROOM_S3_BUCKET",
    "InvalidAccessKeyId": "correct DARKROOM_S3_ACCESS_KEY",
    "SignatureDoesNotMatch": "correct DARKROOM_S3_SECRET_KEY",
    "AccessDenied": "allow the key s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there",
    "RequestTimeTooSkewed": "let NTP set the clock of this machine",
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "301": _WRONG_REGION,
}


async def check_store(settings: Settings, clock: Clock, *, fix: bool) -> list[Result]:
    """Whether the bucket can be used, by a real request, and will keep what is in it.

    Raises:
        SettingsError: the settings make no sense.
    """
    async with open_s3(settings) as s3:
        access, *clocks = await _access(s3, settings, clock)
        if access.advice == _ADVICE["NoSuchBucket"] and fix:
            try:
                await make_bucket(settings)
            except Unavailable as error:
                return [fault("store", error.message, "make it by hand"), *clocks]
            access = fixed("store", f"made the bucket “{settings.s3_bucket}”")
        if access.advice:
            return [access, *clocks]
        return [access, *clocks, await _lifecycle(s3, settings.s3_bucket)]


@asynccontextmanager
async def open_s3(settings: Settings) -> AsyncIterator["S3Client"]:
    """A client that does not try for long.

    Raises:
        SettingsError: the settings make no sense.
    """
    config = AioConfig(
        s3={"addressing_style": settings.s3_addressing},
        connect_timeout=5,
        read_timeout=10,
        retries={"mode": "standard", "max_attempts": 1},
    )
    async with open_client(settings, "s3", endpoint=settings.s3_endpoint, config=config) as s3:
        yield s3


async def _access(s3: "S3Client", settings: Settings, clock: Clock) -> list[Result]:
    """What the store says to a request for the bucket, and what its clock says with that."""
    bucket = settings.s3_bucket
    answer: Any
    before = clock()
    try:
        answer = await s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        answer = error.response
        code = error.response["Error"]["Code"]
        advice = _ADVICE.get(code, "see DARKROOM_S3_ENDPOINT, _BUCKET, _REGION, _ACCESS_KEY and _SECRET_KEY")
        access = fault("store", f"it refuses the bucket “{bucket}”: {reason(error)}", advice)
    except SDK_ERRORS as error:
        return [fault("store", f"it does not answer: {reason(error)}", "correct DARKROOM_S3_ENDPOINT")]
    else:
        access = ok("store", f"the bucket “{bucket}” can be used")
    theirs = _date(answer)
    if theirs is None:
        return [access, note("store.clock", "the store does not tell the time")]
    return [access, compare_clocks("store.clock", theirs, before=before, after=clock(), resolution=1)]


def _date(answer: Any) -> datetime | None:
    """The time in an answer's header; `Date` has whole seconds."""
    try:
        date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        return None
    return date if date.tzinfo else None


async def _lifecycle(s3: "S3Client", bucket: str) -> Result:
    check = "store.lifecycle"
    try:
        rules: list[Any] = (await s3.get_bucket_lifecycle_configuration(Bucket=bucket))["Rules"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code != "NoSuchLifecycleConfiguration":
            return note(check, f"the store does not tell its rules: {reason(error)}")
        rules = []
    except SDK_ERRORS as error:
        return note(check, f"the store does not tell its rules: {reason(error)}")
    if harmful := [rule.get("ID", "one without a name") for rule in rules if _removes_ours(rule)]:
        return fault(
            check,
            f"rules remove objects that records name: {', '.join(harmful)}",
            f"keep them off {SOURCES_PREFIX} and {VARIANTS_PREFIX}",
        )
    return ok(check, f"{len(rules)} rules, and none removes what is ours" if rules else "there are no rules")


def _removes_ours(rule: Any) -> bool:
    if rule.get("Status") != "Enabled" or not rule.get("Expiration", {}).keys() & {"Days", "Date"}:
        return False
    chosen = rule.get("Filter", {})
    if "Tag" in chosen or "Tags" in chosen.get("And", {}):
        return False  # no object of ours has tags
    prefix = rule.get("Prefix") or chosen.get("Prefix") or chosen.get("And", {}).get("Prefix") or ""
    return any(
        ours.startswith(prefix) or prefix.startswith(ours) for ours in (SOURCES_PREFIX, VARIANTS_PREFIX)
    )
