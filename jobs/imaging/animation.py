"""Animation: the frames of a moving picture, one after the other in the memory of one."""

from collections.abc import Callable

from PIL import Image

from jobs.formats import SourceFormat
from jobs.imaging.decode import at_fault

_HASTY = 10  # milliseconds; browsers show a GIF's frames of at most that for a tenth of a second
_AS_BROWSERS_DO = 100
_LONGEST = 2**24 - 1  # milliseconds, of a frame of a WebP
_MOST_TIMES = 2**16 - 1  # that a WebP can be told to be shown


class Frames(Image.Image):
    """The frames of `source` as `developed` makes them.

    Pillow's encoders ask an image for one frame after the other; this one makes each when it is asked
    for, and forgets the one before. `durations` has the milliseconds of each frame made so far.
    """

    def __init__(
        self,
        source: Image.Image,
        format_: SourceFormat,
        developed: Callable[[Image.Image], Image.Image],
    ) -> None:
        super().__init__()
        self._source = source
        self._format = format_
        self._developed = developed
        # An APNG may begin with a picture for programs that know no animation.
        self._skipped = 1 if source.info.get("default_image") else 0
        self.n_frames = int(getattr(source, "n_frames", 1)) - self._skipped
        self.is_animated = self.n_frames > 1
        self.durations: list[int] = []
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Make this frame; one that was made before it is not made again."""
        if frame < len(self.durations):
            return
        if frame >= self.n_frames:
            raise EOFError
        with at_fault():
            self._source.seek(frame + self._skipped)
            self._source.load()
            picture = self._developed(self._source)
        self.im, self._mode, self._size = picture.im, picture.mode, picture.size
        self.durations.append(self._duration())

    def tell(self) -> int:
        """The first frame: encoders return to it when they are done."""
        return 0

    def _duration(self) -> int:
        milliseconds = min(round(self._source.info.get("duration", 0)), _LONGEST)
        hasty = self._format is SourceFormat.GIF and milliseconds <= _HASTY
        return _AS_BROWSERS_DO if hasty else milliseconds


def times(source: Image.Image, format_: SourceFormat) -> int:
    """How often an animation is shown; 0 is for ever."""
    if format_ is SourceFormat.GIF:  # it says how often it is repeated, and nothing for never
        repeated = source.info.get("loop")
        return 1 if repeated is None else min(repeated + 1, _MOST_TIMES) if repeated else 0
    return min(int(source.info.get("loop", 0)), _MOST_TIMES)
