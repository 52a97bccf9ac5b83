"""The pipeline: from a file to its variants, in one list of steps."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from jobs.imaging.colour import to_eight_bits, to_srgb
from jobs.imaging.decode import admit, at_fault, decode, detect, inspect, open_image
from jobs.imaging.encode import encode
from jobs.imaging.messages import Inspected, RenditionMade, Step
from jobs.imaging.placeholder import placeholder
from jobs.imaging.sizes import Rendition, chain, plan, shrink
from jobs.presets import Preset

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def develop(source: Path, preset: Preset, out: Path) -> Iterator[Step]:
    """Make every variant of `preset` from `source`, and tell of each as soon as it lies in `out`.

    The placeholder and the smallest variant come first. Colours are converted and the picture is turned
    after the first shrinking, when there are fewer pixels to touch.

    Raises:
        Rejection: the file is at fault.
    """
    detected = detect(source)
    with open_image(source, detected, preset) as image:
        admit(image, detected, preset)
        header = inspect(image, detected)
        yield Inspected(
            format=header.format.lower(),
            content_type=header.format.content_type,
            width=header.seen[0],
            height=header.seen[1],
            frame_count=header.frame_count,
        )
        renditions = plan(preset.variants, header.seen)
        top = renditions[-1]
        profile = image.info.get("icc_profile")
        decode(image, header, top.width)
        with at_fault():
            picture = to_eight_bits(image)
            picture = shrink(picture, (top.height, top.width) if header.sideways else (top.width, top.height))
            picture = to_srgb(picture, profile)
            picture = upright(picture, header.orientation)
    pictures = chain(picture, renditions)
    yield placeholder(pictures[0])
    for rendition, shrunk in zip(renditions, pictures, strict=True):
        yield write(rendition, shrunk, out)


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it is seen, from how EXIF says that it is stored."""
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def write(rendition: Rendition, picture: Image.Image, out: Path) -> RenditionMade:
    """Encode a rendition into a file of its own."""
    spec = rendition.spec
    encoded = encode(picture, spec)
    path = out / f"{spec.name}.{spec.format.value}"
    path.write_bytes(encoded)
    return RenditionMade(
        name=spec.name,
        format=spec.format,
        content_type=f"image/{spec.format.value}",
        width=rendition.width,
        height=rendition.height,
        byte_size=len(encoded),
        path=path,
    )
