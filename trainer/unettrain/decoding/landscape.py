"""The landscape of a strip, whose peaks are the seeds of instances.

It is the distance to the background, or the probability of the foreground, smoothed; 0 outside the mask. Both depend
on a neighbourhood alone, so strips read as many rows beyond their own as matter:

    +----------------------+
    | mask                 |  REACH_PX rows, for the distance
    | - - - - - - - - - -  |
    | distance             |  radius of the smoothing
    | - - - - - - - - - -  |
    | landscape            |  1 row, to see whether a pixel leads to the next strip
    +----------------------+
    | strip                |
    +----------------------+  and below it the same
"""

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.distance import REACH_PX, distance_rows
from unetprep.kernels.integer_smoothing import gaussian_weights, smooth_rows
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip


class Landscape:
    """Landscape of a slice whose mask, and for seeds by probability whose `values`, are in spools (y, x)."""

    def __init__(self, height: int, mask: Spool, values: Spool | None, params: DecodingParams) -> None:
        self._height, self._mask, self._values = height, mask, values
        self._weights = gaussian_weights(params.smoothing_px)

    def of(self, strip: Strip) -> NDArray[np.uint16]:
        """Heights (1 + rows + 1, 1 + x + 1) of a strip, at least 1 in the mask, with a frame as of `label_basins`."""
        radius = len(self._weights) // 2
        first, last = max(0, strip.first - 1), min(self._height, strip.last + 1)
        top, bottom = max(0, first - radius), min(self._height, last + radius)
        start = max(0, top - REACH_PX) if self._values is None else top
        stop = min(self._height, bottom + REACH_PX) if self._values is None else bottom
        mask = self._mask.read(start, stop)
        heights = np.zeros((strip.last - strip.first + 2, mask.shape[1] + 2), np.uint16)
        inside = mask[first - start : last - start]
        if inside.any():
            in_rows = (top - start, bottom - start)
            rough = self._values.read(top, bottom) if self._values else distance_rows(mask, *in_rows)
            smooth = smooth_rows(rough, first - top, last - top, self._weights)
            offset = first - (strip.first - 1)
            heights[offset : offset + len(inside), 1:-1] = np.maximum(smooth, 1) * inside
        return heights
