"""Guards: what a request may cost before anybody has said who he is."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.metrics import REFUSALS, Limit

_PASSED_OVER = 16  # times the limit: a client that is cut off while it sends may not see the answer


class BodyLimit:
    """Answers 413 to a request whose body has more than `limit` bytes, and keeps no more of it than that."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and hand it on; from a client that leaves before its end, nothing."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = bytearray()
        size, more = 0, True
        while more and size <= _PASSED_OVER * self._limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = message.get("body", b"")
            size += len(body)
            more = message.get("more_body", False)
            if size <= self._limit:
                kept += body
        if size > self._limit:
            REFUSALS.labels(Limit.BODY).inc()
            too_large = f"A body can have at most {self._limit} bytes."
            await JSONResponse({"message": too_large}, 413, {"Connection": "close"})(scope, receive, send)
            return

        whole: list[Message] = [{"type": "http.request", "body": bytes(kept), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)
