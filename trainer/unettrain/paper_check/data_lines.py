"""Weight map (Eq. 2), mirrored tiles (section 2), deformation and gray values (section 3.1)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.kernels.gray_values import change_gray
from unetprep.kernels.mirror import mirrored_tile
from unetprep.kernels.random_fields import draw_grids
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.spline import displacement_field
from unetprep.kernels.warp import Transform, warp_tile
from unetprep.kernels.weights import weight_map
from unettrain.augment.draw import TURNS, draw
from unettrain.config import Augmentation
from unettrain.data.intensity import intensity_range, scale_intensity
from unettrain.paper_check.line import Line, compared

SIDE, MIDDLE = 61, 30
NUM_GRIDS, NUM_DRAWS = 2000, 400


def data_lines(sigma_px: float, nodes: tuple[int, int]) -> Iterator[Line]:
    """Lines of what is computed before the training and while tiles are read."""
    yield from _border_terms()
    yield _balance()
    yield _separated()
    yield _mirrored()
    yield _scaled()
    yield from _fields(sigma_px, nodes)
    yield _moved_together()
    yield from _draws()


# -- weights ----------------------------------------------------------------------------------------------------------


def two_cells(gap_px: int) -> NDArray[np.int32]:
    """Two cells side by side, with this many columns of background between them, from column 30 on."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[20:40, 10:MIDDLE], labels[20:40, MIDDLE + gap_px : 55] = 1, 2
    return labels


def _border_terms() -> Iterator[Line]:
    cases = ((1, 0, (1, 1), 9.2312), (2, 0, (1, 2), 8.3527), (9, 4, (5, 5), 1.3534))
    for gap, column, distances, says in cases:
        weights = weight_map(two_cells(gap), class_weights=(1, 1))
        found = float(weights[MIDDLE, MIDDLE + column]) - 1
        text = "w0 exp(-(d1 + d2)^2 / (2 sigma^2)), w0 10, sigma 5: "
        holds = abs(found - says) < 1e-4
        yield compared(f"border term at {distances}", "Eq. 2", f"{text}{says:.4f}", f"{found:.4f}", holds)
    touching = weight_map(two_cells(0), class_weights=(1, 1))
    found = float(touching[MIDDLE, MIDDLE]) - 1
    says = 10 * np.exp(-1 / 50)
    yield compared(
        "border term between touching cells",
        "plugin",
        f"distances go to the cells as labelled, 0 and 1: {says:.4f}",
        f"{found:.4f}",
        abs(found - says) < 1e-4,
    )
    lone = (two_cells(9) == 1).astype(np.int32)
    most = float(weight_map(lone, class_weights=(1, 1)).max()) - 1
    yield compared("border term of a lone cell", "Eq. 2", "0 everywhere", f"at most {most:g}", most == 0)


def _balance() -> Line:
    labels = (two_cells(9) == 1).astype(np.int32)  # one cell, so that the weights are w_c alone
    weights = weight_map(labels)
    shares = [float(weights[labels == kind].sum()) / labels.size for kind in (0, 1)]
    text = f"{shares[0]:.3f} and {shares[1]:.3f} of the sum"
    holds = abs(shares[0] - shares[1]) < 1e-4
    return compared("class weights w_c", "section 3", "balance the frequencies of the classes", text, holds)


def _separated() -> Line:
    labels = two_cells(0)
    target = separate_instances(labels)
    parts = int(ndimage.label(target, np.ones((3, 3)))[1])
    says = "touching cells are separated by background"
    return compared("target between touching cells", "section 3", says, f"{parts} components of 2 cells", parts == 2)


# -- tiles ------------------------------------------------------------------------------------------------------------


def _mirrored() -> Line:
    image = np.arange(12.0).reshape(3, 4)
    found = mirrored_tile(image, (-7, -9), (17, 22))  # several times the size of the image
    holds = np.array_equal(found, np.pad(image, ((7, 7), (9, 9)), mode="reflect"))
    row = " ".join(f"{v:g}" for v in mirrored_tile(image[:1], (0, -3), (1, 7))[0])
    says = "mirrored without repeating the edge: 0 1 2 3 continues to the left as 3 2 1 0"
    return compared("missing context", "section 2, release", says, row, holds)


def _scaled() -> Line:
    image = np.linspace(10, 200, 64).astype(np.uint8).reshape(1, 1, 8, 8)
    low, high = intensity_range(image)
    off = float(abs(scale_intensity(image, low, high) - image / 255).max())
    says = "gray values of 8 bits are divided by 255"
    reason = (
        "" if (low, high) == (0, 255) else "the default was chosen by measurement; --intensity dtype is the paper's"
    )
    low, high = intensity_range(image, "dtype")
    exact = float(abs(scale_intensity(image, low, high) - image / 255).max()) < 1e-6
    found = "divided by 255" if off < 1e-6 else "another range by default"
    return compared("intensities", "release", says, found, exact and (off < 1e-6 or bool(reason)), reason)


# -- augmentation -----------------------------------------------------------------------------------------------------


def _fields(sigma_px: float, nodes: tuple[int, int]) -> Iterator[Line]:
    grids = draw_grids(0, range(NUM_GRIDS), nodes, sigma_px)
    at_nodes, mean = float(grids.std()), float(grids.mean())
    found = f"{grids.shape[2]} x {grids.shape[3]}, {at_nodes:.2f} px, mean {mean:.2f}"
    holds = grids.shape[1:] == (2, 3, 3) and abs(at_nodes - 10) < 0.2 and abs(mean) < 0.2
    says = "3 x 3 vectors, Gaussian of standard deviation 10 px"
    yield compared("deformation grid", "section 3.1", says, found, holds)
    field = displacement_field(grids[0], (SIDE, SIDE))
    zoom = tuple(SIDE / n for n in grids.shape[2:])
    reference = [ndimage.zoom(g.astype(float), zoom, order=3, mode="mirror", grid_mode=False) for g in grids[0]]
    off = float(abs(field - np.stack(reference)).max())
    says = "bicubic interpolation of the grid (scipy's cubic spline)"
    yield compared("displacement of a pixel", "section 3.1", says, f"differs by {off:.0e} px", off < 1e-6)
    spread = np.stack([displacement_field(grid, (9, 9)) for grid in grids[:1000]]).std(axis=(0, 1))
    corner, between = float(spread[0, 0]), float(spread[2, 2])
    yield compared(
        "spread of the displacement",
        "section 3.1, counted",
        "10 px at the nodes, less between them",
        f"{corner:.1f} px at a node, {between:.1f} px in the middle of four",
        abs(corner - 10) < 0.7 and between < 9,
    )


def _moved_together() -> Line:
    """Image, labels and weights that all hold the row number must agree after a deformation."""
    rows = np.broadcast_to(np.arange(SIDE)[:, None], (SIDE, SIDE))
    inside = slice(10, -10)
    transform = Transform(grid=draw_grids(0, [0], (3, 3), 2.0)[0])
    image, labels, weights = warp_tile(
        rows[None].astype(np.float32), rows.astype(np.uint8), rows.astype(np.float32), transform, SIDE, 1
    )
    seen = image[0][inside, inside]
    together = float(abs(seen - weights[inside, inside]).max()) < 1e-4
    nearest = float(abs(seen - labels[inside, inside]).max()) <= 0.5 + 1e-4
    found = "one deformation; labels of the nearest pixel" if together and nearest else "they move apart"
    says = "one deformation for image, labels and weights; labels are not interpolated"
    return compared("deformed tile", "section 3.1", says, found, together and nearest)


def _draws() -> Iterator[Line]:
    choices = [draw(Augmentation(), 10, 0, 0, k) for k in range(NUM_DRAWS)]
    fields, turns = {c.field for c in choices}, {c.turn for c in choices}
    yield compared("deformations in use", "section 3.1", "each sample is deformed", f"{len(fields)} of 10 fields",
                   fields == set(range(10)))  # fmt: skip
    black = [c.black for c in choices]
    image = np.linspace(0, 1, 5, dtype=np.float32)
    change_gray(image, black=0.1, white=0.9)
    varied = max(black) > 0.04 and min(black) < -0.04 and abs(float(image[0]) - 0.1) < 1e-6
    found = f"black level from {min(black):.2f} to {max(black):.2f}, as in the plugin"
    yield compared("gray values", "section 3.1", "robustness to gray value variations", found, varied)
    found = f"{len(turns)} of {len(TURNS)} turns and mirror images; --rotation and --shift by any amount"
    reason = "no ranges are given; turns by quarters move each pixel onto another one, so nothing is interpolated"
    yield compared("rotation and shift", "section 3.1", "invariance to shift and rotation", found,
                   turns == set(range(8)), reason)  # fmt: skip
