"""Connected components of masks, as instance labels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unettrain.errors import InvalidInput

PLANES = {4: 1, 8: 2}  # connectivity within a plane, and the rank of scipy's structuring element
VOLUMES = {6: 1, 26: 3}


def label_by_value(values: NDArray[np.integer], connectivity: int = 4) -> NDArray[np.int32]:
    """Number the connected components of equal value as `label_components` does; 0 stays 0. Fast for a few values."""
    labels = np.zeros(values.shape, np.int32)
    for value in np.unique(values[values != 0]):
        parts = label_components(values == value, connectivity)
        labels += np.where(parts, parts + labels.max(initial=0), 0).astype(np.int32)
    return labels


def label_components(mask: NDArray[np.generic], connectivity: int = 4) -> NDArray[np.int32]:
    """Number the connected components of the pixels that are not 0, from 1 on: int32 labels of the same shape.

    connectivity 4 or 8: components of planes (y, x); 6 or 26: of volumes (z, y, x). Further axes hold independent
    images, which are numbered consecutively. Raises InvalidInput for another connectivity, or too few axes.
    """
    dims, rank = (2, PLANES.get(connectivity)) if connectivity in PLANES else (3, VOLUMES.get(connectivity))
    if rank is None or mask.ndim < dims:
        raise InvalidInput(
            f"connectivity is {connectivity} for a mask of {mask.ndim} axes", allowed="4, 8; from 3 axes on 6, 26"
        )
    structure = np.zeros((3,) * mask.ndim, bool)
    structure[(1,) * (mask.ndim - dims)] = ndimage.generate_binary_structure(dims, rank)
    labels = np.empty(mask.shape, np.int32)
    ndimage.label(mask != 0, structure, output=labels)
    return labels
