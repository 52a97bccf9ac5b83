"""What README and CONTRIBUTING say can be typed, sent and read is so.

Run as it is written: the upload from a shell, and all of GraphQL. Only looked at: the other commands, by the
parser of `darkroom` itself and by `make --dry-run`, for they go on for ever or for long. Code for front ends
is run by `test_readme_clients`, and what `make run` does by `test_dev`.
"""

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate
from typer.testing import CliRunner

from api.cli import app
from jobs.settings import Settings
from tests.node import CLIENTS
from tests.sockets import opened
from tests.system import System, running_system
from tests.test_dev import DARKROOM
from tests.test_system import a_photo, followed, put, uploaded

ROOT = Path(__file__).parent.parent
PAPERS = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")}
OURS = ("make ", "darkroom ", "python -m ", "npm install ")
SETS_VARIABLE = re.compile(r"[A-Z_]+=")


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


def blocks(text: str, *languages: str) -> list[str]:
    """The code in these languages, as it stands in a text."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


def outside_of_blocks(text: str) -> str:
    """The sentences and headings of a text."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> set[str]:
    """All that is to be typed: in blocks, each line; in sentences, what begins like a command of ours."""
    found = set()
    for text in PAPERS.values():
        for line in "".join(blocks(text, "sh", "bash", "console")).splitlines():
            found.add(line.removeprefix("$ ").partition(" # ")[0].strip())
        for code in re.findall(r"`([^`\n]+)`", outside_of_blocks(text)):
            if " ".join(words_of(code)).startswith(OURS):
                found.add(code)
    return found - {""}


def words_of(command: str) -> list[str]:
    """The command and its arguments, without variables that are set for it, or where it lies."""
    try:
        words = shlex.split(command)
    except ValueError:  # no command, but code with a quotation mark
        return []
    while words and SETS_VARIABLE.match(words[0]):
        words.pop(0)
    return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


@pytest.mark.parametrize("command", sorted(commands()))
def test_what_is_to_be_typed_exists(command: str) -> None:
    """Commands with their options, make's targets, modules; and packages are those that we test."""
    name, *words = words_of(command)
    if name == "make":
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S607
    elif name == "darkroom":
        # Asked for help, it looks at all options and does nothing of what they say.
        at = int(not words[0].startswith("-"))
        told = CliRunner().invoke(app, [*words[:at], "--help", *words[at:]])
        assert told.exit_code == 0, told.output
    elif name == "python":
        assert words[0] == "-m"
        assert find_spec(words[1]) is not None
        assert all((ROOT / word).exists() for word in words if word.endswith(".py"))
    elif name == "npm":
        assert words[0] == "install"
        assert set(words[1:]) <= set(json.loads((CLIENTS / "package.json").read_text())["dependencies"])
    else:
        pytest.fail(f"nobody looks at commands of {name} yet: say here how")


async def test_a_file_is_uploaded_from_a_shell(system: System, tmp_path: Path) -> None:
    """By the command of the block, and no other word than where the server is."""
    (line,) = [line for line in "".join(blocks(PAPERS["README.md"], "sh")).splitlines() if " upload " in line]
    name, *words = words_of(line)
    assert name == DARKROOM.name
    (tmp_path / "photo.jpg").write_bytes(a_photo())
    process = await asyncio.create_subprocess_exec(
        DARKROOM, *words, "--url", system.url, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert "photo.jpg" in told.decode()


async def test_what_is_to_be_sent_is_answered_as_shown(system: System) -> None:
    """The mutation as it stands; the subscription with the id, and what follows with a cursor, put in."""
    create, follow, turn = blocks(PAPERS["README.md"], "graphql")
    answers = [json.loads(text) for text in blocks(PAPERS["README.md"], "json")]
    schema = build_schema((ROOT / "schema.graphql").read_text())
    for query in (create, follow, turn):
        assert validate(schema, parse(query)) == []

    created = await system.execute(create)
    agree(answers[0], created)
    target = created["data"]["createUploads"]["results"][0]
    length = int(re.search(r"byteSize: (\d+)", create)[1])  # type: ignore[index]
    assert await put(system, target, a_photo(1500, 1000).ljust(length, b"\0")) == 200
    image_id = target["image"]["id"]
    async with opened(system.url) as socket:
        payload = {"query": follow.replace("img_…", image_id)}
        await socket.send({"id": "1", "type": "subscribe", "payload": payload})
        events = []
        while (message := await socket.receive())["type"] != "complete":
            events.append(message["payload"])
    agree(answers[1], events[-1])
    last = events[-1]["data"]["imageUpdates"]
    assert (last["id"], last["status"]) == (image_id, "READY")
    assert [(each["name"], each["width"], each["height"]) for each in last["variants"]] == [
        (each["name"], each["width"], each["height"])
        for each in answers[1]["data"]["imageUpdates"]["variants"]
    ]

    await followed(system, await uploaded(system, a_photo(), metadata={"album": "Oslo"}))
    first = await system.execute(turn.replace('after: "…", ', ""))
    assert first["data"]["images"]["nodes"]
    behind = await system.execute(turn.replace("…", first["data"]["images"]["pageInfo"]["endCursor"]))
    assert behind["data"]["images"]["nodes"] == []


def agree(shown: Any, real: Any) -> None:
    """An answer as it is shown has a real one's form: the same keys, as many of all, the same types."""
    assert type(shown) is type(real)
    if isinstance(shown, dict):
        assert list(shown) == list(real)
        for key, value in shown.items():
            agree(value, real[key])
    elif isinstance(shown, list):
        for one, other in zip(shown, real, strict=True):
            agree(one, other)


@pytest.mark.parametrize("name", PAPERS)
def test_what_is_linked_is_there(name: str) -> None:
    """Files in the repository, and headings in these texts."""
    linked = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", outside_of_blocks(PAPERS[name]))
    for target in map("".join, linked):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            assert (ROOT / path).exists(), target
            assert not anchor or anchor in anchors(PAPERS[path or name]), target


def anchors(text: str) -> set[str]:
    """What its headings are called in links."""
    headings = re.findall(r"^#+ (.+)$", outside_of_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
