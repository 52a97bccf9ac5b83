"""The pipeline: from a file to its variants, in one list of steps."""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from jobs.facts import Note, NoteCode
from jobs.formats import SourceFormat
from jobs.imaging.animation import Frames, frame_count, pictures, read_patches, times
from jobs.imaging.budget import check_budget, check_frames
from jobs.imaging.coded import coded_profile
from jobs.imaging.colour import is_rgb_profile, to_eight_bits, to_srgb
from jobs.imaging.decode import Header, admit, at_cost, at_fault, decode, detect, inspect, open_image
from jobs.imaging.encode import encode, encode_animation
from jobs.imaging.messages import Inspected, RenditionMade, Step
from jobs.imaging.place import place, shown
from jobs.imaging.placeholder import placeholder
from jobs.imaging.resize import resize
from jobs.imaging.sizes import Rendition, Size, extremes, plan
from jobs.presets import Fit, Kept, Preset

_MAX_ICC = 256 * 1024  # bytes; a profile for red, green and blue has some hundreds, or some thousands
_MAX_XMP = 65_000  # bytes; what a JPEG can hold

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class NoRoom(Exception):
    """What was made of a file cannot be kept."""


def develop(source: Path, preset: Preset, accepted: Container[SourceFormat], out: Path) -> Iterator[Step]:
    """Make every variant of `preset` from `source`, and tell of each as soon as it lies in `out`.

    The cheapest come first: the placeholder and the smallest are made before the largest size even exists.
    Colours are converted and the picture is turned after the first shrinking, when there are fewer pixels
    to touch.

    Raises:
        Rejection: the file is at fault.
        NoRoom: `out` is.
    """
    detected = detect(source, accepted)
    check_budget(source, detected, preset)
    with open_image(source, detected, preset) as image:
        admit(image, preset)
        patches = read_patches(source, detected, preset.max_frames)
        frames = frame_count(image, detected, patches)
        check_frames(frames, preset)
        with at_fault():  # before what stands behind the pixels is read
            coded = coded_profile(source, detected, image.info)
        header = inspect(image, detected, frames, patches)
        moves = header.frame_count > 1 and _can_be_shown_moving(header, preset)
        yield _inspected(header, moves=moves)
        smallest, largest = extremes(preset.variants, header.seen)
        with at_fault():
            decoded = to_eight_bits(_first(image, header, source, largest))
            own = _own(image, coded, preset)
            small = finished(decoded, header, smallest, own)
        yield placeholder(to_srgb(small, own.icc) if own.icc else small)
        pending = plan(preset.variants, header.seen, see_through=small.mode == "RGBA")
        if not moves and pending[0].whole == smallest:
            yield write(pending.pop(0), small, own, out)
        with at_fault():
            large = small if largest == smallest else finished(decoded, header, largest, own)
    del image, decoded  # the most that a photo needs; the encoders can have it
    for rendition in pending:
        with at_cost():
            still = small if rendition.whole == smallest else resize(large, rendition.whole)
        if moves and rendition.format.can_move:
            yield write_animation(rendition, still, header, own, source, preset, out)
        else:
            yield write(rendition, still, own, out)


def _first(image: Image.Image, header: Header, source: Path, covering: Size) -> Image.Image:
    """The picture that a file shows first, decoded."""
    if header.frame_count > 1 or header.patches:
        return next(pictures(image, source, header.format, header.patches))[0]
    decode(image, header, covering)
    return image


class Own(NamedTuple):
    """What a file says of its colours: how to read them, and what its variants keep of that."""

    profile: bytes | None
    icc: bytes
    xmp: bytes


def _own(image: Image.Image, coded: bytes | None, preset: Preset) -> Own:
    profile: bytes | None = image.info.get("icc_profile") if coded is None else coded
    xmp = image.info.get("xmp")
    if not (Kept.XMP in preset.keep and isinstance(xmp, bytes) and len(xmp) <= _MAX_XMP):
        xmp = b""
    keeps = Kept.ICC in preset.keep and coded is None and image.mode in ("RGB", "RGBA")
    if keeps and profile and len(profile) <= _MAX_ICC and is_rgb_profile(profile):
        return Own(profile=None, icc=profile, xmp=xmp)
    return Own(profile=profile, icc=b"", xmp=xmp)


def _can_be_shown_moving(header: Header, preset: Preset) -> bool:
    frame = header.width * header.height
    # Each variant decodes them all again: it takes time, and no memory.
    moving = [made for made in plan(preset.variants, header.seen, see_through=True) if made.format.can_move]
    painted = sum(max(frame, patch.width * patch.height) for patch in header.patches)
    decoded = painted or header.frame_count * frame
    pixels = sum(decoded + header.frame_count * rendition.cost for rendition in moving)
    return preset.animated and pixels <= preset.max_animated_pixels


def _inspected(header: Header, *, moves: bool) -> Inspected:
    still = Note(
        code=NoteCode.FIRST_FRAME_ONLY, message="It is an animation; its variants show its first frame."
    )
    return Inspected(
        format=header.format.value,
        content_type=header.format.content_type,
        width=header.seen[0],
        height=header.seen[1],
        frame_count=header.frame_count,
        camera=header.camera,
        notes=(still,) if header.frame_count > 1 and not moves else (),
    )


def finished(decoded: Image.Image, header: Header, whole: Size, own: Own) -> Image.Image:
    """All of what was decoded at the size `whole`, in sRGB unless it keeps its own colours, and upright."""
    picture = resize(decoded, whole[::-1] if header.sideways else whole)
    picture = upright(to_srgb(picture, own.profile), header.orientation)
    if picture is decoded:
        picture = picture.copy()  # its file has use for what it knows
    picture.info = {}  # encoders take more from there than they are told to
    return picture


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it is seen, from how EXIF says that it is stored."""
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def write(rendition: Rendition, whole: Image.Image, own: Own, out: Path) -> RenditionMade:
    """Encode a rendition of a picture into a file of its own."""
    with at_cost():
        picture = place(whole, shown(whole, rendition), rendition)
        encoded = encode(picture, rendition, icc=own.icc, xmp=own.xmp)
    return _written(rendition, encoded, out)


def write_animation(
    rendition: Rendition,
    still: Image.Image,
    header: Header,
    own: Own,
    source: Path,
    preset: Preset,
    out: Path,
) -> RenditionMade:
    """Encode a rendition of an animation, one frame after the other, into a file of its own.

    Its frames are decoded anew for each rendition: of 24 frames of 800 by 600 pixels in three sizes, that is
    4 to 12 % of the work from AVIF, GIF and WebP, 21 % from PNG, and holds no more than a frame in memory.

    Args:
        still: the first frame at the rendition's `whole` size: what is cut off is the same for all.
    """
    box = shown(still, rendition)
    with open_image(source, header.format, preset) as image, at_cost():

        def developed(frame: Image.Image) -> Image.Image:
            decoded = to_eight_bits(frame)
            clear = decoded.mode in ("RGBA", "LA") or rendition.spec.fit is Fit.CONTAIN
            picture = place(finished(decoded, header, rendition.whole, own), box, rendition)
            # Alike for all frames, whether there is something to be seen through in them or not.
            return picture.convert("RGBA" if clear and rendition.spec.background is None else "RGB")

        frames = Frames(pictures(image, source, header.format, header.patches), header.frame_count, developed)
        encoded = encode_animation(
            frames,
            rendition,
            loop=times(image, source, header.format),
            durations=frames.durations,
            icc=own.icc,
            xmp=own.xmp,
        )
    return _written(rendition, encoded, out)


def _written(rendition: Rendition, encoded: bytes, out: Path) -> RenditionMade:
    made = RenditionMade(
        name=rendition.spec.name, format=rendition.format, width=rendition.size[0], height=rendition.size[1]
    )
    try:
        (out / made.filename).write_bytes(encoded)
    except OSError as error:
        raise NoRoom(f"A variant cannot be written: {error.strerror}.") from error
    return made
