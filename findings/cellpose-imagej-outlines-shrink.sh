#!/usr/bin/env bash
# Cellpose to ImageJ: the exported ROIs lose a row and a column of each cell, a quarter of a small nucleus.
#
# Versions   cellpose 4.2.1.1, opencv-python-headless 5.0.0.93, roifile 2026.2.10, numpy 2.4.6, scipy 1.17.1.
# Expected   A mask that is exported as ImageJ ROIs and measured there has the mask's area and position.
# Happens    Cellpose traces each cell with OpenCV, whose contour runs through the centres of the border pixels, and
#            hands these coordinates to roifile as they are. ImageJ's polygons run along the edges of pixels, and the
#            centre of the first pixel is (0.5, 0.5). So the polygon is half a pixel too small on every side and half a
#            pixel too far up and left, and two cells that touch are a pixel apart. Masks made from such ROIs and
#            exported again lose the next row and column. (cellpose.io.save_rois is these two calls for each cell.)
# Output     radius  3.5:   37 pixels, 7 wide, become an area of   28 (76%), 6 wide, moved by (-0.5, -0.5)
#            radius  5.0:   69 pixels, 9 wide, become an area of   56 (81%), 8 wide, moved by (-0.5, -0.5)
#            radius 10.0:  305 pixels, 19 wide, become an area of  276 (90%), 18 wide, moved by (-0.5, -0.5)
# Hurts      Areas, integrated intensities and overlaps measured in Fiji from Cellpose's ROIs, all the more for
#            bacteria, spots and nuclei at low magnification; contacts between cells; and training masks that make the
#            round trip through Fiji for correction.
# Instead    Import the label image into ImageJ and not the ROIs, or export polygons along pixel edges: the vertices of
#            skimage.measure.find_contours(np.pad(mask, 1), 0.5)[0] - 0.5, as (x, y), give the mask back exactly.
# Known as   MouseLand/cellpose#757 and #1359, both closed, without a fix in this version.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
# What is used here imports torch for its version, and none of Cellpose's other requirements.
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'numpy==2.4.6' 'scipy==1.17.1' 'opencv-python-headless==5.0.0.93' \
    'fastremap==1.21.0' 'fill-voids==2.1.2' 'tqdm==4.70.1' \
    'roifile==2026.2.10' 'scikit-image==0.26.0'
"$work/venv/bin/pip" install -q --no-deps 'cellpose==4.2.1.1'

"$work/venv/bin/python" - <<'PY'
import numpy as np
from cellpose.utils import outlines_list
from roifile import ImagejRoi
from skimage.measure import find_contours


def area_and_centre(polygon):
    """Of the polygon (x, y), by Gauss's formula: no rule for pixels on the line is needed."""
    x, y = polygon.T.astype(float)
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y1 - x1 * y
    area = cross.sum() / 2
    return abs(area), np.array([((x + x1) * cross).sum(), ((y + y1) * cross).sum()]) / (6 * area)


def pixels_inside(polygon, shape):
    """The pixels whose centres, at +0.5, lie inside the polygon (x, y), even-odd; none may lie on it."""
    y, x = np.indices(shape) + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def exported(mask):
    """The outline as it stands in an .roi file."""
    (outline,) = outlines_list(mask.astype(np.uint16))
    return ImagejRoi.frombytes(ImagejRoi.frompoints(outline).tobytes()).coordinates()


row, column = np.indices((64, 64))
seen = {}
for radius in (3.5, 5.0, 10.0):
    disc = (row - 30) ** 2 + (column - 32) ** 2 < radius**2
    in_imagej = np.argwhere(disc).mean(0)[::-1] + 0.5
    width = int(disc.any(0).sum())
    polygon = exported(disc)
    area, centre = area_and_centre(polygon)
    moved = tuple(np.round(centre - in_imagej, 6).tolist())
    seen[radius] = int(disc.sum()), area, int(np.ptp(polygon[:, 0])) - width, moved
    print(
        f"radius {radius:4}: {disc.sum():4} pixels, {width} wide, become an area of {area:4.0f} "
        f"({area / disc.sum():.0%}), {np.ptp(polygon[:, 0])} wide, moved by {moved}"
    )
    along_edges = find_contours(np.pad(disc, 1).astype(float), 0.5)[0][:-1, ::-1] - 0.5
    assert np.array_equal(pixels_inside(along_edges, disc.shape), disc), "the way out that the header names"

expected = {
    3.5: (37, 28.0, -1, (-0.5, -0.5)),
    5.0: (69, 56.0, -1, (-0.5, -0.5)),
    10.0: (305, 276.0, -1, (-0.5, -0.5)),
}
assert seen == expected, f"changed: {seen}"
print("reproduced")
PY
