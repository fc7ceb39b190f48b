"""Sampler over tiles that are still being written: rounds over all tiles finished so far.

It depends on when they are finished, so it is no function of the seed. Once all are there, the usual order takes over.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from unettrain.stream.sampler import Where


def rounds(
    indices: NDArray[np.intp],
    finished: Callable[[], NDArray[np.bool_]],
    one_round: Callable[[NDArray[np.intp], int], list[Where]],
) -> Iterator[Where]:
    """Those of the tiles `indices` that are finished when a round begins, in rounds, until all are.

    `one_round(tiles, number)` puts them into an order. Ends, with nothing, where none is finished.
    """
    number = 0
    while not (there := finished()[indices]).all() and there.any():
        yield from one_round(indices[there], number)
        number += 1
