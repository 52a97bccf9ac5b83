"""A client of the public API: GraphQL over HTTP and websocket, and the PUT to the store."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import websockets

from api.addresses import THIS_MACHINE
from jobs.settings import LOOPBACK

_SUBPROTOCOL = websockets.Subprotocol("graphql-transport-ws")
_CHUNK = 256 * 1024
_TRIES = 4
PATIENCE = 120  # seconds to wait for a server that says how long; whoever needs longer is told so

IMAGE_FIELDS = """
  id filename status version
  variants { name format width height byteSize url }
  problem { code message }
"""
_CREATE = """
mutation ($input: CreateUploadsInput!) {
  createUploads(input: $input) {
    results {
      ... on UploadTarget { image { IMAGE } method url headers { name value } }
      ... on InvalidFile { filename code message retryAfter }
    }
  }
}
""".replace("IMAGE", IMAGE_FIELDS)
_COMPLETE = """
mutation ($id: ID!) { completeUpload(id: $id) { ... on Image { IMAGE } ... on Problem { code message } } }
""".replace("IMAGE", IMAGE_FIELDS)
_REPROCESS = _COMPLETE.replace("completeUpload", "reprocessImage")
_UPDATES = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { IMAGE } }".replace("IMAGE", IMAGE_FIELDS)


class ApiError(Exception):
    """The API or the store could not be reached, or refused; the message is for people."""


@asynccontextmanager
async def open_http(**options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that reaches this machine directly, and others as the environment says.

    Raises:
        ApiError: the environment names a proxy that cannot be used.
    """
    here = {f"all://{host}": None for host in THIS_MACHINE}
    try:
        http = httpx.AsyncClient(mounts=here, **options)
    except (ImportError, ValueError) as error:
        raise ApiError(f"the proxy of the environment cannot be used: {error}") from error
    async with http:
        yield http


class Client:
    """One server's API, as anybody can use it."""

    def __init__(self, url: str, http: httpx.AsyncClient, key: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._http = http
        self._authorization = {"authorization": f"Bearer {key}"} if key else {}

    async def create_uploads(
        self, files: Sequence[dict[str, Any]], preset: str | None, *, idempotency_key: str | None = None
    ) -> list[dict[str, Any]]:
        """An `UploadTarget` or an `InvalidFile` for each `FileInput`."""
        request: dict[str, Any] = {"files": list(files)}
        request |= {"preset": preset} if preset else {}
        request |= {"idempotencyKey": idempotency_key} if idempotency_key else {}
        data = await self._execute(_CREATE, {"input": request})
        results: list[dict[str, Any]] = data["createUploads"]["results"]
        return results

    async def complete_upload(self, image_id: str) -> dict[str, Any]:
        """The `ImageResult` of the hint."""
        result: dict[str, Any] = (await self._execute(_COMPLETE, {"id": image_id}))["completeUpload"]
        return result

    async def reprocess(self, image_id: str) -> dict[str, Any]:
        """The `ImageResult` of asking for the variants anew."""
        result: dict[str, Any] = (await self._execute(_REPROCESS, {"id": image_id}))["reprocessImage"]
        return result

    async def put(self, path: Path, target: dict[str, Any], progress: Callable[[int], None]) -> None:
        """Send a file to where an `UploadTarget` says, trying again where that can help.

        Args:
            progress: hears how many bytes have been sent.
        """
        headers = {header["name"]: header["value"] for header in target["headers"]}
        headers["Content-Length"] = str(path.stat().st_size)

        async def chunks() -> AsyncIterator[bytes]:
            sent = 0
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
                    sent += len(chunk)
                    progress(sent)

        for attempt in range(1, _TRIES + 1):
            try:
                answer = await self._http.request(
                    target["method"], target["url"], content=chunks(), headers=headers
                )
            except httpx.HTTPError as error:
                reason = f"the store does not answer: {_reason(error)}"
            else:
                if answer.is_success or answer.status_code == HTTPStatus.PRECONDITION_FAILED:
                    return  # the latter: an earlier try had got through
                reason = f"the store refuses the upload (status {answer.status_code})"
                if not answer.is_server_error:
                    break
            if attempt < _TRIES:
                await asyncio.sleep(0.25 * 2**attempt)
        raise ApiError(reason)

    async def updates(self, image_ids: Sequence[str]) -> AsyncGenerator[dict[str, Any], None]:
        """The images' states, current ones first, until all are at rest; survives lost connections."""
        failures = 0
        while True:
            try:
                async with aclosing(self._subscribe(_UPDATES, {"ids": list(image_ids)})) as states:
                    async for image in states:
                        failures = 0
                        yield image["imageUpdates"]
            except (OSError, websockets.WebSocketException) as error:
                failures += 1
                if failures == _TRIES:
                    raise ApiError(f"{self._url} does not answer: {error}") from error
                await asyncio.sleep(0.25 * 2**failures)
            else:
                return

    async def _execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        while True:
            try:
                answer = await self._http.post(
                    f"{self._url}/graphql",
                    json={"query": query, "variables": variables},
                    headers=httpx.Headers(self._authorization, encoding="utf-8"),
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ApiError(f"{self._url} does not answer: {_reason(error)}") from error
            seconds = answer.headers.get("retry-after", "")
            if (
                answer.status_code != HTTPStatus.TOO_MANY_REQUESTS
                or not seconds.isdecimal()
                or int(seconds) > PATIENCE
            ):
                break
            await asyncio.sleep(int(seconds))
        try:
            return _data(answer.json())
        except ValueError as error:
            raise ApiError(f"{self._url}/graphql is no GraphQL API (status {answer.status_code})") from error

    async def _subscribe(self, query: str, variables: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        address = f"ws{self._url.removeprefix('http')}/graphql"
        proxy: Literal[True] | None = None if urlsplit(address).hostname in LOOPBACK else True
        async with websockets.connect(address, subprotocols=[_SUBPROTOCOL], proxy=proxy) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": self._authorization}))
            await socket.recv()  # connection_ack, or the socket is closed
            subscribe = {"query": query, "variables": variables}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
            async for text in socket:
                message = json.loads(text)
                match message["type"]:
                    case "next":
                        yield _data(message["payload"])
                    case "error":
                        (error, *_) = message["payload"]
                        seconds = error.get("extensions", {}).get("retryAfter")
                        if seconds is None or seconds > PATIENCE:
                            raise ApiError(error["message"])
                        await asyncio.sleep(seconds)
                        raise ConnectionError(error["message"])  # to be opened again
                    case "complete":
                        return
                    case "ping":
                        await socket.send(json.dumps({"type": "pong"}))
            raise ConnectionError("the connection was closed")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _data(payload: Any) -> dict[str, Any]:
    match payload:
        case {"errors": [{"message": message}, *_]}:
            raise ApiError(str(message))
        case {"data": dict(data)}:
            return data
    raise ValueError("not what GraphQL answers")
