"""Random crops of images. The position of crop k depends only on (seed, image name, k)."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def random_origins(
    seed: int, name: str, first: int, stop: int, sides: tuple[int, int, int], output_px: int
) -> NDArray[np.int64]:
    """Origins (z, y, x) of the outputs of the random crops `first` to `stop` of an image; (crop, 3).

    Uniform over all positions at which the output lies within `sides`, (z, y, x) in pixels; 0 along a shorter axis.
    Crop k depends only on the seed, the name of the image and k (Philox: Salmon et al. 2011).
    """
    digest = int.from_bytes(sha256(name.encode()).digest()[:8], "little")
    stream = np.random.Philox(key=np.array([seed, digest], np.uint64), counter=first)
    words = stream.random_raw(4 * (stop - first)).reshape(-1, 4)[:, :3] >> np.uint64(32)
    z, y, x = sides
    free = np.array([z, max(0, y - output_px) + 1, max(0, x - output_px) + 1], np.uint64)
    return (words * free >> np.uint64(32)).astype(np.int64)
