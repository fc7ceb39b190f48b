"""Interpolation methods of displacement grids and the number of nodes that each needs. No imports."""

INTERPOLATIONS = ("bspline", "bspline-approx")
SPACING_PX = 150  # of the nodes of bspline-approx


def nodes_needed(length_px: int) -> int:
    """Nodes along a side of so many pixels that bspline-approx needs."""
    return -(-(length_px - 1) // SPACING_PX) + 3
