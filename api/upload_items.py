"""What `darkroom upload` sends: files by path, folder or glob, and how each is told from every other."""

import glob
import hashlib
import json
import mimetypes
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".heic": "image/heic",
    ".heif": "image/heic",
}
AT_REST = frozenset({"READY", "REJECTED", "FAILED", "EXPIRED", "DELETED"})


class UsageError(Exception):
    """What was typed names nothing that can be uploaded."""


@dataclass
class Item:
    """One file on its way."""

    path: Path
    image: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The image's, or REJECTED for a file that the API would not take."""
        return str(self.image.get("status"))

    @property
    def filename(self) -> str:
        """The name as text: on disk it can be any bytes."""
        return os.fsencode(self.path.name).decode(errors="replace")

    def take(self, image: dict[str, Any]) -> bool:
        """Keep the image's state if it is newer than the known one; returns whether it is."""
        newer: bool = image.get("version", 0) > self.image.get("version", 0)
        if newer:
            self.image = image
        return newer

    def fail(self, code: str, message: str) -> None:
        """Say why it goes no further."""
        self.image = {"status": "REJECTED", **self.image, "problem": {"code": code, "message": message}}

    def as_json(self) -> str:
        """The line that `--json` prints."""
        problem = self.image.get("problem")
        return json.dumps(
            {
                "filename": self.filename,
                "id": self.image.get("id"),
                "status": self.status,
                "variants": self.image.get("variants", []),
                "problem": problem and {"code": problem["code"], "message": problem["message"]},
            }
        )


def find_files(paths: Iterable[str | Path], *, recursive: bool) -> list[Path]:
    """The files that `paths` name: each file, the images of each folder, and what a glob stands for.

    A glob comes here if the shell did not expand it, as in quotes, and means what it means there; `**` stands
    for any folders.

    Raises:
        UsageError: there is no such file or folder, or nothing to upload in any of them; or a path is empty,
            as a shell's variable is that was not set.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not str(path):  # it would be this folder
            raise UsageError("one of the paths is empty")
        try:
            found |= dict.fromkeys(_files_at(Path(path), recursive=recursive))
        except OSError as error:
            raise UsageError(f"{readable(error.filename or path)}: {error.strerror}") from error
    if not found:
        raise UsageError("no images there" + ("" if recursive else "; -r looks into folders below"))
    return list(found)


def _files_at(path: Path, *, recursive: bool) -> list[Path]:
    if path.is_dir():
        return sorted(_images_in(path, recursive=recursive))
    if path.is_file():
        return [path]
    # `Path.glob` takes no absolute pattern, and finds hidden files.
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207
    matches = [match for name in names if (match := Path(name)) != path]
    if not matches:
        raise UsageError(f"{readable(path)}: no such file or folder")
    return [file for match in sorted(matches) for file in _files_at(match, recursive=recursive)]


def _images_in(folder: Path, *, recursive: bool) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error  # a folder that cannot be looked into is not passed over in silence

    for parent, _, names in os.walk(folder, onerror=stop):
        files = (Path(parent, name) for name in names)
        yield from (file for file in files if file.suffix.lower() in CONTENT_TYPES and file.is_file())
        if not recursive:
            return


def describe(item: Item) -> dict[str, Any]:
    """The `FileInput` for a file, which is read for it.

    Raises:
        OSError: it cannot be read.
    """
    with item.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "filename": item.filename,
        "contentType": content_type(item.path),
        "byteSize": item.path.stat().st_size,
        "sha256": sha256,
    }


def content_type(path: Path) -> str:
    """What a file is by its name."""
    guessed = CONTENT_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return guessed or "application/octet-stream"


def idempotency_key(file: dict[str, Any], preset: str | None, generation: int) -> str:
    """The same text for the same content under the same name and preset, wherever and whenever it is asked.

    Args:
        file: its `FileInput`.
        generation: how many images of this file had expired or were deleted before.
    """
    told = [file["sha256"], file["filename"], preset, generation]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def readable(path: Path | str) -> str:
    """A name as a line of text: on disk it can be any bytes."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
