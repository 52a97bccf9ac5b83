"""SSIM of variants to a reduction of the whole picture by Lanczos: a line of paths in, a number out.

Gaussian weights as in Wang et al. (2004), on luma. Runs where scikit-image is.
"""

import sys

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity


def _luma(image: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("L"))


def main() -> None:
    """`SOURCE VARIANT` a line."""
    sources: dict[str, Image.Image] = {}
    references: dict[tuple[str, tuple[int, int]], object] = {}
    for line in sys.stdin:
        source, variant = line.rstrip("\n").split("\t")
        if source not in sources:
            with Image.open(source) as image:
                mode = "RGBA" if image.has_transparency_data else "RGB"
                sources[source] = image.convert(mode)
        with Image.open(variant) as image:
            made, size = _luma(image), image.size
        if (source, size) not in references:
            references[source, size] = _luma(sources[source].resize(size, Image.Resampling.LANCZOS))
        likeness = structural_similarity(
            made,
            references[source, size],
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        print(likeness, flush=True)


main()
