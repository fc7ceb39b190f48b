"""Random crops: the position of crop k of an image depends on (seed, image name, k) alone."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def random_origins(
    seed: int, name: str, first: int, stop: int, sides: tuple[int, int, int], output_px: int
) -> NDArray[np.int64]:
    """Where the outputs of the random tiles `first` to `stop` of an image begin, (tile, 3), as z, y, x.

    Uniform over all places where the output lies within `sides`, (z, y, x) in pixels; 0 along an axis that is shorter.
    Tile k depends on the seed, the name of the image and k alone (Philox: Salmon et al. 2011).
    """
    digest = int.from_bytes(sha256(name.encode()).digest()[:8], "little")
    stream = np.random.Philox(key=np.array([seed, digest], np.uint64), counter=first)
    words = stream.random_raw(4 * (stop - first)).reshape(-1, 4)[:, :3] >> np.uint64(32)
    z, y, x = sides
    free = np.array([z, max(0, y - output_px) + 1, max(0, x - output_px) + 1], np.uint64)
    return (words * free >> np.uint64(32)).astype(np.int64)
