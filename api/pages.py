"""Pages for people, the demo and GraphiQL, and the files that they load: all from our own origin."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from jobs.settings import Settings
from jobs.storage import public_base

_STATIC = Path(__file__).with_name("static")
_GRAPHIQL = ("graphene_django_graphiql_static", "static/graphene_django_graphiql_static")  # package, folder
_NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class _Files(StaticFiles):
    """Files that a browser keeps, and asks for again only whether they are still the same."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page_routes(settings: Settings) -> list[BaseRoute]:
    """The demo page and its files, and those of GraphiQL, if the settings show it."""
    demo = _page("demo.html", demo_policy(settings), GRAPHIQL="" if settings.shows_playground else "hidden")

    async def answer(_: Request) -> Response:
        return demo

    routes: list[BaseRoute] = [
        Route("/", answer),
        Mount("/static/demo", _Files(directory=_STATIC / "demo")),
    ]
    if settings.shows_playground:
        # The package holds data only; it is found without being imported.
        files = _Files(directory=_STATIC / "graphiql", packages=[_GRAPHIQL])
        routes.append(Mount("/static/graphiql", files))
    return routes


def graphiql_page() -> Response:
    """GraphiQL for a browser.

    Its dialogs lock the page's scrolling by a `<style>` of their own making, for which neither a hash nor a
    nonce can be given; fonts and cursors are inside its style sheet.
    """
    policy = (
        f"{_NOTHING_ELSE}; script-src 'self'; connect-src 'self'; "
        "style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:"
    )
    return _page("graphiql.html", policy)


def demo_policy(settings: Settings) -> str:
    """What the demo page may load: what is ours, and pictures from where the store gives them out."""
    store = origin_of(public_base(settings))
    variants = origin_of(settings.variants_base_url) if settings.variants_base_url else store
    images = " ".join(dict.fromkeys((store, variants)))
    return (
        f"{_NOTHING_ELSE}; script-src 'self'; style-src 'self'; "
        f"connect-src 'self' {store}; img-src 'self' {images}"
    )


def origin_of(url: str) -> str:
    """The scheme, host and port of a URL, as a policy names them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _page(name: str, policy: str, **words: str) -> Response:
    text = (_STATIC / name).read_text()
    for word, meaning in words.items():
        text = text.replace(f" {word}", f" {meaning}")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})
