"""Photographs that nobody took: the statistics of real ones, made from a seed.

Dead leaves (discs that cover each other, their radii by a power law) have the edges and the spectrum of
natural scenes (Lee, Mumford and Huang, 2001); a few octaves of texture, soft light, and the noise of a
sensor after a phone's own smoothing come on top. 12 megapixels at quality 92 have 3 MB, as phones' have,
and a WebP of 1920 by 1440 pixels has about 290 KB.
"""

import random
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, ImageChops, ImageDraw

from tests.imaging.profiles import rgb_profile

_NOISE = 3  # standard deviation in levels of 255
_OCTAVES = ((64, 20), (16, 10), (6, 5), (3, 3))  # size in pixels, strength in levels
_LEAVES = 5_000


def photo(width: int, height: int, *, seed: int = 1) -> Image.Image:
    """A scene of that size."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    scene = Image.new("RGB", (width, height), (110, 120, 130))
    draw = ImageDraw.Draw(scene)
    smallest, largest = max(width, height) / 800, max(width, height) / 6
    for _ in range(_LEAVES):
        share = chance.random()
        radius = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
        x, y = chance.uniform(-radius, width + radius), chance.uniform(-radius, height + radius)
        flat = radius * chance.uniform(0.5, 1)
        level = chance.gauss(125, 55)
        colour = tuple(max(0, min(255, int(level + chance.gauss(0, 22)))) for _ in range(3))
        draw.ellipse((x - radius, y - flat, x + radius, y + flat), fill=colour)
    light = Image.effect_noise((9, 7), 90).resize((width, height), Image.Resampling.BICUBIC)
    scene = Image.blend(scene, Image.merge("RGB", (light,) * 3), 0.25)
    bands = [_texture(width, height) for _ in range(3)]
    texture = Image.merge("RGB", [Image.blend(bands[0], band, 0.25) for band in bands])
    return ImageChops.add(scene, texture, 1, -128)


def _texture(width: int, height: int) -> Image.Image:
    texture = Image.new("L", (width, height), 128)
    for size, strength in (*_OCTAVES, (1, _NOISE)):
        octave = Image.effect_noise((width // size + 1, height // size + 1), strength)
        texture = ImageChops.add(texture, octave.resize((width, height), Image.Resampling.BICUBIC), 1, -128)
    return texture


def write_inputs(folder: Path) -> dict[str, Path]:
    """The inputs of the benchmark, by name."""
    inputs: dict[str, Path] = {}

    def write(name: str, suffix: str, image: Image.Image, **options: object) -> None:
        buffer = BytesIO()
        image.save(buffer, **options)  # type: ignore[arg-type]
        inputs[name] = folder / f"{name.replace(' ', '-')}.{suffix}"
        inputs[name].write_bytes(buffer.getvalue())

    for name, size in (
        ("2 MP JPEG", (1600, 1200)),
        ("12 MP JPEG", (4000, 3000)),
        ("24 MP JPEG", (6000, 4000)),
    ):
        write(name, "jpg", photo(*size), format="JPEG", quality=92)
    large = photo(4000, 3000, seed=2)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    p3 = {"exif": exif.tobytes(), "icc_profile": rgb_profile()}
    write("12 MP JPEG, turned, P3", "jpg", large, format="JPEG", quality=92, **p3)
    write("12 MP AVIF", "avif", large, format="AVIF", quality=80, speed=9)
    write("12 MP PNG", "png", large, format="PNG", compress_level=3)
    picture = photo(2400, 1600)
    picture.putalpha(Image.radial_gradient("L").resize(picture.size).point(lambda level: 255 - level))
    write("4 MP PNG, alpha", "png", picture, format="PNG", compress_level=3)
    frames = [photo(320, 240, seed=seed).quantize(128) for seed in range(8)]
    write(
        "GIF, 8 frames",
        "gif",
        frames[0],
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=80,
        loop=0,
    )
    return inputs
