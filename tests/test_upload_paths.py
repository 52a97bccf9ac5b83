"""What `darkroom upload` takes for files: paths, folders and globs; and what it says beforehand."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from api.upload_items import UsageError, find_files
from tests.test_upload import DARKROOM, started

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, by name alone."""
    for name in ("a.jpg", "b.PNG", "note.txt", ".hidden.jpg", "below/c.jpg", "below/deeper/d.webp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.jpg", ["a.jpg"]),
        ("[ab].*", ["a.jpg", "b.PNG"]),
        ("?ote.*", ["note.txt"]),
        ("**/*.jpg", ["a.jpg", "below/c.jpg"]),
        ("**/d.*", ["below/deeper/d.webp"]),
        ("bel*", ["below/c.jpg"]),
    ],
)
def test_a_glob_in_quotes_means_what_it_means_to_a_shell(
    folder: Path, pattern: str, found: list[str]
) -> None:
    """Every file that is so named, and the images of every folder."""
    assert find_files([folder / pattern], recursive=False) == [folder / name for name in found]


def test_a_folder_that_a_glob_names_is_looked_into_as_any_other(folder: Path) -> None:
    """With `-r`, down to its end; and no file is there twice."""
    found = find_files([folder / "bel*", folder / "below"], recursive=True)
    assert found == [folder / "below/c.jpg", folder / "below/deeper/d.webp"]


def test_a_name_that_looks_like_a_glob_is_a_name(folder: Path) -> None:
    """If there is such a file."""
    path = folder / "[ab].jpg"
    path.touch()
    assert find_files([path], recursive=False) == [path]
    assert find_files([str(path)], recursive=False) == [path]
    with pytest.raises(UsageError, match="empty"):  # not this folder
        find_files([path, ""], recursive=True)


def test_a_glob_of_nothing_is_bad_usage(folder: Path) -> None:
    """It is named."""
    with pytest.raises(UsageError, match=r"\*\.gif: no such file or folder"):
        find_files([folder / "*.gif"], recursive=False)


async def test_a_dry_run_asks_no_server(folder: Path) -> None:
    """It says what would be uploaded, and how much that is."""
    process = await started("--dry-run", "-r", "--url", NOWHERE, folder / "a.jpg", folder / "below")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines() == [
        f"{folder}/a.jpg: image/jpeg, 5 bytes",
        f"{folder}/below/c.jpg: image/jpeg, 11 bytes",
        f"{folder}/below/deeper/d.webp: image/webp, 19 bytes",
        "3 files, 35 bytes; nothing was uploaded",
    ]


async def test_a_dry_run_can_be_json(folder: Path) -> None:
    """A line for each file."""
    process = await started("--dry-run", "--json", "--url", NOWHERE, str(folder / "*.txt"))
    out, _ = await process.communicate()
    assert process.returncode == 0
    plan = {"path": str(folder / "note.txt"), "contentType": "text/plain", "byteSize": 8}
    assert [json.loads(line) for line in out.splitlines()] == [plan]


async def test_a_dry_run_of_nothing_is_bad_usage(tmp_path: Path) -> None:
    """As the run would be."""
    process = await started("--dry-run", tmp_path)
    out, err = await process.communicate()
    assert (process.returncode, out, len(err.splitlines())) == (2, b"", 1)


@pytest.mark.parametrize(
    ("typed", "offered"), [("darkroom upl", "upload"), ("darkroom upload --dr", "--dry-run")]
)
async def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    """As bash asks for it after `darkroom --install-completion`."""
    asking = {
        "_DARKROOM_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    process = await asyncio.create_subprocess_exec(
        DARKROOM, stdout=asyncio.subprocess.PIPE, env=os.environ | asking
    )
    out, _ = await process.communicate()
    assert offered in out.decode().split()


async def test_completion_can_be_installed(tmp_path: Path) -> None:
    """What is written to the home folder names the command."""
    process = await asyncio.create_subprocess_exec(
        DARKROOM, "--install-completion", "bash",
        env=os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert "completion installed" in out.decode()
    assert "_DARKROOM_COMPLETE" in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
