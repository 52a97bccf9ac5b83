"""Animation: the frames of a moving picture, one after the other in the memory of one."""

import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path

from PIL import Image

from jobs.formats import SourceFormat
from jobs.imaging import apng, gif
from jobs.imaging.colour import to_eight_bits
from jobs.imaging.decode import at_fault, open_still
from jobs.imaging.patches import Patch, compose, need_alpha

_HASTY = 10  # milliseconds; browsers show frames of at most that for a tenth of a second
_AS_BROWSERS_DO = 100
_LONGEST = 2**24 - 1  # milliseconds, of a frame of a WebP
_LONGEST_IN_ALL = 2**31 - 1  # milliseconds, to what encoders count
_MOST_TIMES = 2**16 - 1  # that a WebP can be told to be shown
_WHOLE = {SourceFormat.WEBP, SourceFormat.AVIF}  # whose frames Pillow gives as they are seen
_GREY = {"1", "L", "LA", "I", "I;16"}


def read_patches(path: Path, format_: SourceFormat, most: int) -> list[Patch]:
    """What each frame of a file paints, up to one beyond `most`; nothing where frames are whole pictures.

    Raises:
        Rejection: it is broken.
    """
    if format_ not in (SourceFormat.GIF, SourceFormat.PNG):
        return []
    with at_fault(), _mapped(path) as data:
        if format_ is SourceFormat.GIF:
            return list(islice(gif.patches(data), most + 1))
        return list(islice(apng.patches(data), most + 1)) if apng.is_animated(data) else []


def frame_count(image: Image.Image, format_: SourceFormat, patches: Sequence[Patch]) -> int:
    """How many frames an opened file has.

    Several pictures in one file (MPO, gain maps, pages) are no frames: the first counts.

    Raises:
        Rejection: it is broken.
    """
    if format_ not in _WHOLE:
        return len(patches) or 1
    with at_fault():
        return int(getattr(image, "n_frames", 1))


def pictures(
    image: Image.Image, path: Path, format_: SourceFormat, patches: Sequence[Patch]
) -> Iterator[tuple[Image.Image, float]]:
    """Each frame of an opened file as it is seen, and for how many milliseconds.

    A picture is good until the next is asked for. Any exception means that the file is broken.
    """
    if patches:
        yield from _composed(image, path, format_, patches)
        return
    for frame in range(getattr(image, "n_frames", 1)):
        image.seek(frame)
        image.load()
        yield image, image.info.get("duration", 0)


def _composed(
    image: Image.Image, path: Path, format_: SourceFormat, patches: Sequence[Patch]
) -> Iterator[tuple[Image.Image, float]]:
    mode = "L" if format_ is SourceFormat.PNG and image.mode in _GREY else "RGB"
    if need_alpha(patches, image.size):
        mode += "A"

    def opened(file: bytes) -> Image.Image:
        with open_still(BytesIO(file), format_) as still:
            still.load()
            return to_eight_bits(still)

    with _mapped(path) as data:
        for picture, patch in compose(patches, data, image.size, mode, opened):
            yield picture, patch.milliseconds


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


class Frames(Image.Image):
    """`count` frames as `developed` makes them of `pictures`.

    Pillow's encoders ask an image for one frame after the other; this one makes each when it is asked
    for, and forgets the one before. `durations` has the milliseconds of each frame made so far.
    """

    def __init__(
        self,
        pictures: Iterator[tuple[Image.Image, float]],
        count: int,
        developed: Callable[[Image.Image], Image.Image],
    ) -> None:
        super().__init__()
        self._pictures = pictures
        self._developed = developed
        self.n_frames = count
        self.is_animated = count > 1
        self.durations: list[int] = []
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Make this frame; one that was made before it is not made again."""
        if frame < len(self.durations):
            return
        if frame >= self.n_frames:
            raise EOFError
        with at_fault():
            picture, milliseconds = next(self._pictures)
            made = self._developed(picture)
        self.im, self._mode, self._size = made.im, made.mode, made.size
        most = min(_LONGEST, _LONGEST_IN_ALL // self.n_frames)
        self.durations.append(_AS_BROWSERS_DO if milliseconds <= _HASTY else min(round(milliseconds), most))

    def tell(self) -> int:
        """The first frame: encoders return to it when they are done."""
        return 0


def times(source: Image.Image, path: Path, format_: SourceFormat) -> int:
    """How often an animation is shown; 0 is for ever."""
    if format_ is SourceFormat.GIF:  # it says how often it is repeated, and nothing for never
        with _mapped(path) as data:
            repeated = gif.repetitions(data)
        return 1 if repeated is None else min(repeated + 1, _MOST_TIMES) if repeated else 0
    return min(int(source.info.get("loop", 0)), _MOST_TIMES)
