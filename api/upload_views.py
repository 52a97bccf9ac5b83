"""How `darkroom upload` shows the way of its files: lines for programs and logs, bars on a terminal."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Column

from api.upload_items import AT_REST, Item, content_type, readable


class View(Protocol):
    """How the way of the files is shown."""

    def __enter__(self) -> Self:
        """Begin to show it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave what was shown as it is."""

    def sent(self, item: Item, count: int) -> None:
        """`count` bytes of the file have been sent."""

    def changed(self, item: Item) -> None:
        """The image has another state."""

    def waiting(self, seconds: int) -> None:
        """The server takes no more files before that."""


def view_of(items: Sequence[Item], *, as_json: bool, wait: bool) -> View:
    """The view that suits where the output goes.

    Args:
        wait: whether the files are followed to their end, not only until they are stored.
    """
    ends = AT_REST if wait else AT_REST | {"UPLOADED", "PROCESSING"}
    return _Lines(ends, as_json=as_json) if as_json or not sys.stdout.isatty() else _Bars(items, ends)


class _Lines:
    """One line for each change (`--json`), or for each file as far as it is followed."""

    def __init__(self, ends: frozenset[str], *, as_json: bool) -> None:
        self._ends = ends
        self._as_json = as_json

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def sent(self, item: Item, count: int) -> None:
        """Nothing: lines tell of states."""

    def changed(self, item: Item) -> None:
        if self._as_json:
            print(item.as_json(), flush=True)
        elif _has_ended(item, self._ends):
            print(f"{readable(item.path)}: {_in_words(item)}", flush=True)

    def waiting(self, seconds: int) -> None:
        print(_patience(seconds), file=sys.stderr, flush=True)


class _Bars:
    """A bar for each file that is being sent and one for all; a line for each that has ended, above them."""

    def __init__(self, items: Sequence[Item], ends: frozenset[str]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, min_width=12)),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
            console=Console(),
            expand=True,
        )
        self._ends = ends
        self._sizes = {item.path: _size(item.path) for item in items}
        self._sent = dict.fromkeys(self._sizes, 0)
        self._ended: set[Path] = set()
        self._bars: dict[Path, TaskID] = {}
        self._all = self._progress.add_task("all", total=sum(self._sizes.values()), state=self._count())

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self, item: Item, count: int) -> None:
        size = self._sizes[item.path]
        if item.path not in self._bars:
            name = escape(readable(item.path.name))
            self._bars[item.path] = self._progress.add_task(name, total=size, state="")
        self._progress.update(self._bars[item.path], completed=count)
        self._sent[item.path] = count
        if count >= size:
            self._remove_bar(item)
        self._show_all()

    def changed(self, item: Item) -> None:
        if item.status != "PENDING":  # it is stored, perhaps since the last time, or will never be
            self._sent[item.path] = self._sizes[item.path]
            self._remove_bar(item)
        if _has_ended(item, self._ends) and item.path not in self._ended:
            self._ended.add(item.path)
            self._remove_bar(item)
            colour = "red" if item.image.get("problem") else "green"
            self._progress.console.print(
                f"[{colour}]{escape(f'{readable(item.path)}: {_in_words(item)}')}[/]"
            )
        self._show_all()

    def waiting(self, seconds: int) -> None:
        self._progress.console.print(_patience(seconds))

    def _remove_bar(self, item: Item) -> None:
        if (bar := self._bars.pop(item.path, None)) is not None:
            self._progress.remove_task(bar)

    def _show_all(self) -> None:
        self._progress.update(self._all, completed=sum(self._sent.values()), state=self._count())

    def _count(self) -> str:
        return f"{len(self._ended)} of {len(self._sizes)}"


def print_plan(paths: Sequence[Path], *, as_json: bool) -> None:
    """Print what would be uploaded: a line for each file, and for people the sum."""
    for path in paths:
        if as_json:
            plan = {"path": readable(path), "contentType": content_type(path), "byteSize": _size(path)}
            print(json.dumps(plan))
        else:
            print(f"{readable(path)}: {content_type(path)}, {_size(path):,} bytes")
    if not as_json:
        count = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
        print(f"{count}, {sum(map(_size, paths)):,} bytes; nothing was uploaded")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has just gone; who reads it will say so
        return 0


def _has_ended(item: Item, ends: frozenset[str]) -> bool:
    return item.status in ends or bool(item.image.get("problem"))


def _patience(seconds: int) -> str:
    return f"the server takes more files in {seconds} s"


def _in_words(item: Item) -> str:
    if problem := item.image.get("problem"):
        return f"{item.status.lower()}: {problem['message']} ({problem['code']})"
    if item.status == "READY":
        count = len(item.image["variants"])
        return f"ready, {count} variant{'' if count == 1 else 's'}"
    return f"{item.status.lower()} as {item.image['id']}"
