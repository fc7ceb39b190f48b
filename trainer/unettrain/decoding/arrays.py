"""Separation of the instances of probabilities in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.strips import strips_of
from unettrain.errors import InvalidInput


def separate_instances(
    foreground: NDArray[np.floating[Any]], params: DecodingParams | None = None, num_threads: int = 1
) -> NDArray[np.int32]:
    """Label the instances of foreground probabilities (y, x) or (z, y, x): int32 of this shape, 0 for background.

    Slices are independent. Instances are numbered 1, 2, 3, ... in scan order of their first pixels. Pixels of at least
    `params.threshold` are foreground. `params.instances` says how it is separated:

    - components: 4-connected components.
    - watershed: basins of the distance to the background (in 1/256 px, up to 255 px) or of the probability (in
      1/65535), smoothed. Two basins merge unless the pass between them is deeper than `min_depth` of the lower peak. No
      instance extends over several components.

    Values are taken as float32, and may exceed 0 to 1 by 1e-5. Raises InvalidInput for other values or axes.
    """
    if foreground.ndim not in (2, 3):
        raise InvalidInput(f"probabilities of shape {foreground.shape}", allowed="(y, x) or (z, y, x)")
    if foreground.size == 0:
        return np.zeros(foreground.shape, np.int32)
    volume = foreground.reshape((-1, *foreground.shape[-2:]))
    with Decoder(volume.shape, params or DecodingParams(), num_threads) as decoder:
        for z, plane in enumerate(volume):
            decoder.add(z, 0, plane)
        labels = np.empty(volume.shape, np.int32)
        for z in range(len(volume)):
            for first, last in strips_of(*foreground.shape[-2:]):
                labels[z, first:last] = decoder.read(z, slice(first, last), slice(None))
    return labels.reshape(foreground.shape)
