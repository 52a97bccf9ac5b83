"""Checks of the bucket's CORS, by the preflight that a browser sends before an upload."""

import httpx

from jobs.bucket import make_bucket
from jobs.checks.result import Result, fault, fixed, ok, reason
from jobs.errors import Unavailable
from jobs.probe import new_probe_key
from jobs.settings import LOOPBACK, Settings
from jobs.storage import public_base

_METHOD = "PUT"
_HEADERS = ("content-type", "if-none-match", "x-amz-checksum-sha256")  # of an upload target
_ANY = "https://any.example"  # an origin, where every one may
_LOCAL = "http://127.0.0.1:8000"  # and where only those of this machine may


async def check_cors(settings: Settings, *, fix: bool) -> list[Result]:
    """Whether pages of each configured origin may upload, at the address that browsers are given."""
    origins = [_ANY if origin == "*" else origin for origin in settings.cors_origins]
    if not origins and settings.auth != "none":
        return []  # no page is served
    async with open_web(settings) as web:
        results = [await _preflight(web, settings, origin) for origin in origins or [_LOCAL]]
        if not fix or not any(result.advice for result in results):
            return results
        try:
            await make_bucket(settings)
        except Unavailable as error:
            return [fault("store.cors", error.message, "allow the key s3:PutBucketCORS, or set it by hand")]
        again = [await _preflight(web, settings, origin) for origin in origins or [_LOCAL]]
    return [
        fixed("store.cors", f"set; {new.message}") if old.advice and not new.advice else new
        for old, new in zip(results, again, strict=True)
    ]


def open_web(settings: Settings) -> httpx.AsyncClient:
    """A client that reaches the store as a browser does; this machine without a proxy."""
    local = httpx.URL(public_base(settings)).host in LOOPBACK
    return httpx.AsyncClient(timeout=10, trust_env=not local)


async def _preflight(web: httpx.AsyncClient, settings: Settings, origin: str) -> Result:
    check = "store.cors"
    base = public_base(settings)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": _METHOD,
        "Access-Control-Request-Headers": ",".join(_HEADERS),
    }
    try:
        answer = await web.options(f"{base}/{new_probe_key()}", headers=asked)
    except httpx.HTTPError as error:
        return fault(check, f"{base} does not answer: {reason(error)}", "correct DARKROOM_S3_PUBLIC_ENDPOINT")
    if refused := _refused(answer, origin):
        return fault(
            check,
            f"pages of {origin} may not upload: the preflight does not allow {refused}",
            "--fix sets the bucket's CORS",
        )
    return ok(check, f"pages of {origin} may upload")


def _refused(answer: httpx.Response, origin: str) -> str | None:
    """What a browser would miss in the answer to its preflight, by the Fetch standard; None if nothing."""
    if not answer.is_success or answer.headers.get("access-control-allow-origin") not in ("*", origin):
        return "the origin"
    if not {_METHOD.lower(), "*"} & _listed(answer, "access-control-allow-methods"):
        return _METHOD
    allowed = _listed(answer, "access-control-allow-headers")
    return None if "*" in allowed else next((name for name in _HEADERS if name not in allowed), None)


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return {item.strip().lower() for item in answer.headers.get(header, "").split(",")}
