"""Random grids of displacements: field k comes from (seed, k) alone, whatever was drawn before it.

Philox (Salmon et al. 2011) is a keyed function of a counter, so every field has a stream of its own; Box and Muller's
formula makes its integers Gaussian. Both are fixed here by definition, not by a library's choice of method.
"""

import numpy as np
from numpy.typing import NDArray


def draw_grids(seed: int, fields: range, nodes: int, sigma_px: float) -> NDArray[np.float32]:
    """Displacements (field, axis, nodes, nodes) in pixels, float32, Gaussian with standard deviation `sigma_px`.

    Axis 0 is y, axis 1 is x. Source: Ronneberger et al. 2015, section 3.1 (3 x 3 nodes, 10 pixels).
    """
    count = 2 * nodes * nodes
    raw = np.stack([np.random.Philox(key=[seed, k]).random_raw(2 * count) for k in fields])
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53  # in (0, 1], so that its logarithm is finite
    radius, angle = uniform[:, :count], uniform[:, count:]
    normal = np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
    grids: NDArray[np.float32] = (sigma_px * normal).astype(np.float32).reshape(-1, 2, nodes, nodes)
    return grids
