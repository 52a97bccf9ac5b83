"""Pillow as most use it: each width from the whole picture, at the encoder's own effort."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, ImageSequence

from tests.bench.imaging.measured import QUALITY, WIDTHS, measure


def recipe(source: Path, out: Path) -> None:
    """Open, turn, resize, save."""
    with Image.open(source) as image:
        if source.suffix == ".gif":
            frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(image)]
        else:
            whole = ImageOps.exif_transpose(image)
            frames = [whole.convert("RGBA" if whole.has_transparency_data else "RGB")]
        for width in WIDTHS:
            width_ = min(width, frames[0].width)
            size = width_, round(frames[0].height * width_ / frames[0].width)
            first, *others = (frame.resize(size, Image.Resampling.LANCZOS) for frame in frames)
            moving: dict[str, Any] = (
                {"save_all": True, "append_images": others, "duration": 80, "loop": 0} if others else {}
            )
            first.save(out / f"w{width}.webp", quality=QUALITY, method=4, **moving)


measure(recipe)
