"""The image and compose.yaml: that they fit the code and each other. No engine runs here."""

import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import typer
import yaml

from api.cli import app
from jobs.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
OURS = ("api", "worker", "events", "bucket")
# What listens where inside the containers of others, by their own defaults.
THEIRS = {"mongo": 27017, "valkey": 6379, "s3": 4566, "prometheus": 9090, "grafana": 3000}


def tool(name: str, package: str) -> str:
    """A command of Debian's."""
    if found := which(name):
        return found
    if os.environ.get("CI"):
        pytest.fail(f"Debian's {package} is not installed: see .ci/run")
    pytest.skip(f"Debian's {package} is not installed")


def services() -> dict[str, Any]:
    """Those of compose.yaml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def instructions() -> list[tuple[str, str]]:
    """Those of Dockerfile, without comments, each with what follows it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line)]


def given(instruction: str) -> list[str]:
    """What follows each instruction of that name."""
    return [rest for name, rest in instructions() if name == instruction]


def sources() -> set[str]:
    """What the image is built from."""
    copied = [shlex.split(rest) for rest in given("COPY")]
    return {path for words in copied if not words[0].startswith("--from") for path in words[:-1]}


# --- the image


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    """And nothing else goes to the engine."""
    assert all((ROOT / path).exists() for path in sources())
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert "*" in rules
    assert kept == {path.split("/")[0] for path in sources()}


def test_the_image_runs_our_command_and_as_nobody_much() -> None:
    """It is built in one stage and run in another, on the Python that the package asks for."""
    assert len(given("FROM")) == 2
    version = f"python:{project()['requires-python'].removeprefix('>=')}-"
    assert all(image.startswith(version) for image in given("FROM"))
    assert given("USER") == ["10001"]
    command = json.loads(given("ENTRYPOINT")[0])
    assert command == list(project()["scripts"])
    name, *options = json.loads(given("CMD")[0])
    assert commands()[name].make_context(name, options).params["host"] == "0.0.0.0"  # noqa: S104 - of the container
    assert given("EXPOSE") == [str(default_port("api"))]


def test_the_labels_say_what_the_package_does() -> None:
    """Once written, once true."""
    labels = dict(word.split("=", 1) for word in shlex.split(given("LABEL")[0]))
    assert {name.rpartition(".")[2]: value for name, value in labels.items()} == {
        "title": project()["name"],
        "description": project()["description"],
        "licenses": project()["license"],
    }


def test_the_image_gets_all_of_the_package(tmp_path: Path) -> None:
    """The pages too; by the same backend, from the same files."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "api", "jobs"],  # noqa: S607 - whichever git there is
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert set(listed) <= packed
    assert "api/static/demo.html" in packed


def test_the_backend_that_builds_it_is_locked() -> None:
    """The build takes it, and what it needs, from a file that has their hashes."""
    assert any("--build-constraints /lock/dev.txt --require-hashes" in run for run in given("RUN"))
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = (ROOT / "lock" / "dev.txt").read_text()
    assert all(re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE) for name in needed)


def project() -> dict[str, Any]:
    """What pyproject.toml says of it."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def commands() -> dict[str, Any]:
    """Those of `darkroom`."""
    found: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def default_port(command: str) -> int:
    """Where one of our commands listens if it is not told."""
    (port,) = (option.default for option in commands()[command].params if option.name == "port")
    return int(port)


# --- compose.yaml


@pytest.mark.parametrize("profiles", [(), ("demo",), ("monitoring",), ("demo", "monitoring")])
def test_compose_takes_it(profiles: tuple[str, ...]) -> None:
    """Each profile, with nothing set but what its head asks for."""
    compose = tool("docker-compose", "docker-compose")
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    env = {"PATH": os.environ["PATH"], "DARKROOM_API_KEYS": "{}", "DARKROOM_METRICS_TOKEN": "some $text"}
    command = [compose, "--project-directory", ".", *chosen, "config"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    settings = yaml.safe_load(done.stdout)["services"]["worker"]["environment"]
    assert settings["DARKROOM_METRICS_TOKEN"].replace("$$", "$") == "some $text"
    assert settings["DARKROOM_REDIS_URL"] == "redis://valkey:6379/0"
    assert settings["DARKROOM_JWT_SECRET"] is None


def test_compose_passes_on_every_setting_and_no_other() -> None:
    """Those of the README's table, which is the code's, in its order; a value with a name has its own."""
    for name in OURS:
        environment = services()[name]["environment"]
        assert list(environment) == [PREFIX + field.upper() for field in Settings.model_fields]
        for setting, value in environment.items():
            assert set(re.findall(r"\$\{(\w+)", value or "")) <= {setting}
    named = set(re.findall(rf"{PREFIX}\w+", (ROOT / "compose.yaml").read_text())) - {"DARKROOM_S3_"}
    assert {name.removeprefix(PREFIX).lower() for name in named} == set(Settings.model_fields)


def test_the_values_of_compose_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the demo, with what its head asks for."""
    for name, value in services()["api"]["environment"].items():
        if value is not None:
            monkeypatch.setenv(name, re.sub(r"^\$\{\w+-(.*)\}$", r"\1", value))
    settings = Settings()
    assert settings.s3_endpoint == f"http://s3:{THEIRS['s3']}"
    assert str(settings.events_queue_url).rpartition("/")[2] in services()["bucket"]["command"]


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_services_is_a_command(name: str) -> None:
    """With options that it has; none of them writes where others read, or may do more than it needs."""
    service = services()[name]
    command, *options = service["command"]
    commands()[command].make_context(command, options)
    assert command == {"bucket": "prepare"}.get(name, name)
    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])  # noqa: S108 - of the container


def ports() -> dict[str, int]:
    """What each service listens on: those of ours as they are told, or by their own default."""
    told = {name: services()[name]["command"] for name in ("worker", "events")}
    metrics = {name: int(command[command.index("--metrics-port") + 1]) for name, command in told.items()}
    return THEIRS | metrics | {"api": default_port("api")}


def test_every_port_is_one_that_somebody_listens_on() -> None:
    """In addresses and in what is published, on this machine only."""
    listening = ports()
    text = (ROOT / "compose.yaml").read_text()
    for host, port in re.findall(r"//(?:[\w-]+@)?([\w.]+):(\d+)", text):
        assert int(port) in ([listening[host]] if host in listening else listening.values())
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {name: [f"127.0.0.1:{listening[name]}:{listening[name]}"] for name in published}


def test_each_service_can_be_scaled_and_is_asked_whether_it_is_well() -> None:
    """No name and no port of the host that only one could have; images are those that were tried."""
    for name, service in services().items():
        assert "container_name" not in service
        assert name == "api" or "healthcheck" in service
        assert name in OURS or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert "ports" not in services()["worker"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize(("name", "path"), [("api", "/readyz"), ("worker", "/metrics")])
def test_health_is_what_the_process_says(name: str, path: str, status: int, code: int) -> None:
    """Each check as it is written, but for the port, against a server that is well or not."""
    own = ["CMD", *json.loads(given("HEALTHCHECK")[0].partition(" CMD ")[2])]
    check = services()[name]["healthcheck"]["test"] if name != "api" else own
    assert check[:3] == ["CMD", "python", "-c"]
    with answering(path, status) as port:
        script = re.sub(r"(?<='127\.0\.0\.1', )\d+", str(port), check[3])
        env = {"DARKROOM_METRICS_TOKEN": "t"}
        done = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert done.returncode == code


@contextmanager
def answering(path: str, status: int) -> Iterator[int]:
    """A server that knows one path, and who may ask; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == path and (path != "/metrics" or self.headers["Authorization"] == "Bearer t")
            self.send_response(status if known else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
