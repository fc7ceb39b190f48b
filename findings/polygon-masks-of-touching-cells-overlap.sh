#!/usr/bin/env bash
# OpenCV, Pillow: masks drawn from polygons are larger than the polygons, and cells that touch share pixels.
#
# Versions   opencv-python-headless 5.0.0.93, pillow 13.0.0, scikit-image 0.26.0, pycocotools 2.0.11, numpy 2.4.6.
# Expected   Polygons that fill a region without gap or overlap (COCO, labelme, QuPath: cells of an epithelium) become
#            label masks that do the same, of the area of the polygons.
# Happens    cv2.fillPoly and Pillow's ImageDraw.polygon also draw the outline: every pixel that it passes through. So each
#            cell grows by about half a pixel on each side, and neighbours share a line of pixels, which the cell that is
#            drawn later takes. cv2.fillPoly takes whole coordinates only and counts them from the centres of pixels, as
#            skimage.draw.polygon2mask does, while annotation tools count from their corners: the masks lie half a pixel
#            too far right and down. pycocotools draws the polygons of COCO right.
# Output     hexagons of radius  5: pycocotools 1.00, scikit-image 0.99, OpenCV 1.23 of the area; in two cells 0, 0, 248 px
#            hexagons of radius  8: pycocotools 1.01, scikit-image 1.00, OpenCV 1.15 of the area; in two cells 0, 0, 404 px
#            hexagons of radius 12: pycocotools 1.00, scikit-image 1.00, OpenCV 1.09 of the area; in two cells 0, 0, 608 px
#            (Pillow: 1.16, 1.08 and 1.07 of the area; 176, 256 and 436 px; scikit-image and OpenCV moved by 0.5 px)
# Hurts      Training masks that are converted from annotations: small nuclei gain up to a quarter of their area, the gap
#            between cells that nearly touch closes, and a cell's size depends on the order of the file. Scores of such
#            masks against those of pycocotools stay below 1 for a perfect prediction.
# Instead    pycocotools.mask.frPyObjects for COCO; else skimage.draw.polygon2mask(shape, vertices - 0.5).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'numpy==2.4.6' 'opencv-python-headless==5.0.0.93' 'pillow==13.0.0' \
    'scikit-image==0.26.0' 'pycocotools==2.0.11'

"$work/venv/bin/python" - <<'PY'
import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from skimage.draw import polygon2mask

SHAPE = (160, 160)


def by_pycocotools(polygon):
    return coco.decode(coco.frPyObjects([polygon.ravel().tolist()], *SHAPE))[..., 0] > 0


def by_skimage(polygon):
    return polygon2mask(SHAPE, polygon[:, ::-1])


def by_opencv(polygon):
    drawn = np.zeros(SHAPE, np.uint8)
    cv2.fillPoly(drawn, [np.round(polygon).astype(np.int32)], 1)
    return drawn > 0


def by_pillow(polygon):
    drawn = Image.new("1", SHAPE[::-1])
    ImageDraw.Draw(drawn).polygon([tuple(vertex) for vertex in polygon.tolist()], fill=1)
    return np.array(drawn)


def hexagons(radius):
    """25 cells that fill a region, with vertices (x, y) to two decimals, as annotation tools write them."""
    angles = np.deg2rad(30 + 60 * np.arange(6))
    for row in range(5):
        for column in range(5):
            x = 30.37 + np.sqrt(3) * radius * (column + (row % 2) / 2)
            y = 30.71 + 1.5 * radius * row
            yield np.round(np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1), 2)


found = {}
for radius in (5, 8, 12):
    cells = list(hexagons(radius))
    area = 1.5 * np.sqrt(3) * radius**2 * len(cells)
    for draw in (by_pycocotools, by_skimage, by_opencv, by_pillow):
        masks = np.stack([draw(cell) for cell in cells])
        shared = int((masks.sum(axis=0) > 1).sum())
        centres = [np.argwhere(mask).mean(axis=0)[::-1] + 0.5 - cell.mean(axis=0) for mask, cell in zip(masks, cells)]
        found[radius, draw.__name__] = masks.sum() / area, shared, np.mean(centres)
        print(f"radius {radius:2}, {draw.__name__:14}: {masks.sum() / area:.3f} of the area, {shared:3} px in two cells,"
              f" moved by {np.mean(centres):+.2f} px")

for radius, grown, shared in ((5, 1.2, 248), (8, 1.1, 404), (12, 1.05, 608)):
    assert found[radius, "by_opencv"][0] > grown and found[radius, "by_opencv"][1] == shared, "OpenCV changed"
    assert found[radius, "by_pillow"][0] > 1.05 and found[radius, "by_pillow"][1] > 100, "Pillow changed"
    for right in ("by_pycocotools", "by_skimage"):
        assert abs(found[radius, right][0] - 1) < 0.02 and found[radius, right][1] == 0, f"{right} changed"
    assert found[radius, "by_skimage"][2] > 0.4 and abs(found[radius, "by_pycocotools"][2]) < 0.1, "an origin changed"
print("reproduced")
PY
