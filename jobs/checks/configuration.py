"""Checks of the settings: what is allowed, but hardly meant."""

from urllib.parse import urlsplit

from jobs.checks.result import Result, fault, note, ok
from jobs.settings import LOOPBACK, Settings


def check_settings(settings: Settings) -> list[Result]:
    """Who may call, from which pages, and how storage events come. Pure."""
    return [_callers(settings), _pages(settings), _events(settings), _public_endpoint(settings)]


def _callers(settings: Settings) -> Result:
    check = "settings.auth"
    if settings.auth == "none":
        return note(check, "DARKROOM_AUTH is none: everybody on this machine may do everything")
    if "keys" in settings.auth and not settings.api_keys:
        return fault(
            check,
            f"DARKROOM_AUTH is {settings.auth}, and there is no key",
            "set DARKROOM_API_KEYS, or DARKROOM_AUTH to jwt",
        )
    if "jwt" in settings.auth and not (settings.jwt_secret or settings.jwt_jwks):
        return fault(
            check,
            f"DARKROOM_AUTH is {settings.auth}, and no token could be checked",
            "set DARKROOM_JWT_SECRET or DARKROOM_JWT_JWKS",
        )
    return ok(check, f"callers are known by {settings.auth.replace('+', ' and ')}")


def _pages(settings: Settings) -> Result:
    check = "settings.cors_origins"
    if settings.cors_origins:
        return ok(check, f"pages of {', '.join(settings.cors_origins)} may call")
    if settings.auth == "none":
        return ok(check, "pages of this machine may call")
    return note(check, "DARKROOM_CORS_ORIGINS is empty: no page in a browser may call")


def _events(settings: Settings) -> Result:
    check = "settings.events"
    ways = {
        "DARKROOM_EVENTS_QUEUE_URL": settings.events_queue_url,
        "DARKROOM_HOOK_TOKEN": settings.hook_token,
        "DARKROOM_SNS_TOPIC_ARN": settings.sns_topic_arn,
    }
    if there := [name for name, value in ways.items() if value is not None]:
        return ok(check, f"events come by {' and '.join(there)}")
    return fault(
        check,
        "the store has no way to tell of uploads: they wait for a client's hint, or for the sweep",
        f"set one of {', '.join(ways)}",
    )


def _public_endpoint(settings: Settings) -> Result:
    check = "settings.s3_public_endpoint"
    address = settings.s3_public_endpoint or settings.s3_endpoint
    parts = urlsplit(address or "https://amazonaws.com")
    if settings.auth != "none" and parts.hostname in LOOPBACK:
        return fault(
            check,
            f"browsers are sent to {address}, which is their own machine",
            "set DARKROOM_S3_PUBLIC_ENDPOINT to where they reach the store",
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return note(check, f"browsers are sent to {address}: pages over https may not use it")
    return ok(check, f"browsers are sent to {address or 'Amazon'}")
