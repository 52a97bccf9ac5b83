"""The pages and their files over HTTP: what they may load, how long they are kept, and where they end."""

import zipfile
from pathlib import Path

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder

from api.pages import demo_policy
from jobs.settings import Settings
from tests.system import System, running_system

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "api" / "static"
OURS = sorted(str(path.relative_to(STATIC)) for path in STATIC.glob("*/*"))
THIRD_PARTY = ["graphiql/graphiql.min.js", "graphiql/graphiql.min.css", "graphiql/react.production.min.js"]
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@pytest.mark.parametrize("name", [*OURS, *THIRD_PARTY])
async def test_files_are_kept_and_asked_for_again(api: System, name: str) -> None:
    """With the type that a browser insists on, and never sent twice."""
    answer = await api.http.get(f"{api.url}/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == TYPES[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    again = await api.http.get(f"{api.url}/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    head = await api.http.head(f"{api.url}/static/{name}")
    assert (head.status_code, head.headers["etag"], head.content) == (200, answer.headers["etag"], b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["", "static/demo/main.js", "static/graphiql/page.js"])
async def test_pages_are_only_read(api: System, method: str, path: str) -> None:
    """And say so."""
    answer = await api.http.request(method, f"{api.url}/{path}")
    assert answer.status_code == 405
    assert {"GET", "HEAD"} == set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/static/demo/../../app.py",
        "/static/demo/..%2f..%2fapp.py",
        "/static/demo/%2e%2e/%2e%2e/app.py",
        "/static/demo/..%5c..%5capp.py",
        "/static/demo//etc/passwd",
        "/static/demo/%2fetc/passwd",
        "/static/demo/main.js%00.css",
        "/static/graphiql/../__init__.py",
        "/static/graphiql/%2e%2e/%2e%2e/__init__.py",
        "/static/demo",
        "/static/demo/",
        "/static/demo.html",
        "/static/",
    ],
)
async def test_nothing_else_is_given_out(api: System, path: str) -> None:
    """However a path is written; httpx would tidy it up."""
    raw = httpx.URL(api.url).copy_with(raw_path=path.encode())
    answer = await api.http.get(raw)
    assert answer.status_code in (404, 307)
    if answer.status_code == 307:
        assert (await api.http.get(raw, follow_redirects=True)).status_code == 404


async def test_the_demo_may_load_pictures_from_where_they_are(settings: Settings) -> None:
    """From the store as a browser sees it, and from a CDN; scripts only from here."""

    def sources(**changes: object) -> dict[str, list[str]]:
        policy = demo_policy(settings.model_copy(update=changes))
        return {name: rest for name, *rest in (part.split() for part in policy.split(";"))}

    public = {"s3_public_endpoint": "https://store.example:8443/base", "s3_bucket": "pictures"}
    assert sources(**public)["connect-src"] == ["'self'", "https://store.example:8443"]
    assert sources(**public)["img-src"] == ["'self'", "https://store.example:8443"]
    hosted = sources(**public, s3_addressing="virtual", variants_base_url="https://cdn.example/v")
    assert hosted["connect-src"] == ["'self'", "https://pictures.store.example:8443"]
    assert hosted["img-src"] == ["'self'", "https://pictures.store.example:8443", "https://cdn.example"]
    amazon = sources(s3_endpoint=None, s3_region="eu-north-1")
    assert amazon["connect-src"] == ["'self'", "https://s3.eu-north-1.amazonaws.com"]
    for policy in (sources(**public), hosted, amazon):
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == (
            ["'none'"], ["'self'"], ["'self'"],
        )  # fmt: skip


async def test_without_the_playground_nothing_of_it_is_there(settings: Settings) -> None:
    """And the demo does not lead to it."""
    closed = settings.model_copy(update={"playground": False})
    async with running_system(closed, worker=False, events=False) as system:
        assert (await system.http.get(f"{system.url}/static/graphiql/page.js")).status_code == 404
        assert 'href="graphql" hidden' in (await system.http.get(f"{system.url}/")).text


def test_an_installed_darkroom_has_its_pages(tmp_path: Path) -> None:
    """All of them are in the wheel."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"api/static/{name}" for name in [*OURS, "demo.html", "graphiql.html"]} <= names
