"""What a child is told, and what it tells: one line of JSON each."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from jobs.errors import ProblemCode
from jobs.presets import Preset, VariantFormat


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Task(_Message):
    """Develop the file `source`; put what comes out into the folder `out`.

    Whoever uses more than `cpu_seconds` of processor time for it is ended by the kernel.
    """

    source: Path
    preset: Preset
    out: Path
    cpu_seconds: float


class Inspected(_Message):
    """What the header says. Width and height are in pixels, as the picture is seen."""

    kind: Literal["inspected"] = "inspected"
    format: str
    content_type: str
    width: int
    height: int
    frame_count: int


class PlaceholderMade(_Message):
    """A thumbhash in base64, and a colour as `#rrggbb`."""

    kind: Literal["placeholder"] = "placeholder"
    thumbhash: str
    dominant_color: str


class RenditionMade(_Message):
    """A finished file at `path`. Sizes are in pixels and bytes."""

    kind: Literal["rendition"] = "rendition"
    name: str
    format: VariantFormat
    content_type: str
    width: int
    height: int
    byte_size: int
    path: Path


class Finished(_Message):
    """Nothing more comes. `seconds` of wall time went into it."""

    kind: Literal["finished"] = "finished"
    seconds: float


class Refused(_Message):
    """Nothing more comes: the file is at fault."""

    kind: Literal["refused"] = "refused"
    code: ProblemCode
    message: str


Step = Inspected | PlaceholderMade | RenditionMade
Message = Step | Finished
ANSWER: TypeAdapter[Message | Refused] = TypeAdapter(
    Annotated[Message | Refused, Field(discriminator="kind")]
)
