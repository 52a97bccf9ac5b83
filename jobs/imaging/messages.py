"""What a child is told, and what it tells.

A task goes down as a pickle, for the child trusts its parent. The answers come up as lines of JSON, for
nobody trusts a child that has seen a stranger's file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from jobs.errors import ProblemCode
from jobs.facts import Camera, Note
from jobs.formats import SourceFormat, VariantFormat
from jobs.presets import Preset

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """Develop the file `source`, if it is of an `accepted` format; put what comes out into the folder `out`.

    Whoever uses more than `cpu_seconds` of processor time for it is ended by the kernel.
    """

    source: Path
    preset: Preset
    accepted: tuple[SourceFormat, ...]
    out: Path
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What the header says. Width and height are in pixels, as the picture is seen."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["inspected"] = "inspected"
    format: str
    content_type: str
    width: int
    height: int
    frame_count: int
    camera: Camera | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlaceholderMade:
    """A thumbhash in base64, a colour as `#rrggbb`, and 64 bits in hexadecimal that pictures alike share."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["placeholder"] = "placeholder"
    thumbhash: str
    dominant_color: str
    perceptual_hash: str


@dataclass(frozen=True, kw_only=True)
class RenditionMade:
    """A finished file of that name in the task's folder. Sizes are in pixels."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["rendition"] = "rendition"
    name: str
    format: VariantFormat
    width: int
    height: int

    @property
    def filename(self) -> str:
        """Made of what is known of it, not told by the child: it names nothing else on this machine."""
        return f"{self.name}.{self.format.value}"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Nothing more comes. `seconds` of wall time went into it."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["finished"] = "finished"
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Nothing more comes: the file is at fault."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["refused"] = "refused"
    code: ProblemCode
    message: str


@dataclass(frozen=True, kw_only=True)
class Hindered:
    """Nothing more comes, and it is not the file's fault: there is no room for what was made of it."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    kind: Literal["hindered"] = "hindered"
    message: str


Step = Inspected | PlaceholderMade | RenditionMade
Message = Step | Finished
Answer = Message | Refused | Hindered


def line(answer: Answer) -> bytes:
    """The answer as a line of JSON."""
    return json.dumps(asdict(answer), default=str).encode() + b"\n"
