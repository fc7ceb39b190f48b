#!/usr/bin/env bash
# elasticdeform: with its default cubic splines, an 8-bit or 16-bit image deformed by nothing at all comes back broken.
#
# Versions   elasticdeform 0.5.1 (the newest; its wheels need numpy < 2, hence Python 3.12 at most), numpy 1.26.4,
#            scipy 1.15.3.
# Expected   deform_grid(image, zeros) returns the image, as it does for a float image (to 1e-10) and as SciPy's own
#            map_coordinates does for an integer one, which filters in float64 and limits the result.
# Happens    The spline coefficients of an integer image are computed into an array of the image's dtype. They overshoot
#            at every sharp edge and are stored modulo 256 or 65536: bright becomes dark around edges, in patches
#            several pixels wide. Masks at order 3 suffer the same.
# Output     cells of 242 on 13, uint8: 54% of the pixels off by more than 25 grey values, the worst by 221
#            12-bit camera values in uint16: 60% off by more than a tenth of the range, the worst by 52793 of 4095
#            the same as float64: 0%, the worst by 0
# Hurts      U-Net augmentation on microscopy images just as they come from the file: the field is applied, nothing is
#            raised, and the network is trained on images with holes and halos. Low-contrast pictures (values far from
#            both ends of the dtype, no sharp edges) hide it.
# Instead    Convert first and clip after: deform_grid(image.astype("float32"), field), or order=1 for integers.
# Known as   gvtulder/elasticdeform#1 mentions overflow for uint8 in passing; the README does not say it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'elasticdeform==0.5.1' 'numpy==1.26.4' 'scipy==1.15.3'

"$work/venv/bin/python" - <<'PY'
import warnings

import elasticdeform
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

warnings.simplefilter("error")
texture = gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 3)
cells = np.where(texture > np.median(texture), 0.95, 0.05)
no_field = np.zeros((2, 3, 3))


def off(image, top):
    """The share of pixels that a zero field moves by more than a tenth of the range, and the largest change."""
    change = np.abs(elasticdeform.deform_grid(image, no_field).astype(float) - image)
    return float((change > top / 10).mean()), float(change.max())


eight = np.round(cells * 255).astype(np.uint8)
twelve = np.round(cells * 4095).astype(np.uint16)
share, worst = off(eight, 255)
print(
    f"cells of {eight.max()} on {eight.min()}, uint8: {share:.0%} of the pixels off by more than 25 grey values, "
    f"the worst by {worst:.0f}"
)
share_12, worst_12 = off(twelve, 4095)
print(
    f"12-bit camera values in uint16: {share_12:.0%} off by more than a tenth of the range, "
    f"the worst by {worst_12:.0f} of 4095"
)
share_float, worst_float = off(eight.astype(float), 255)
print(f"the same as float64: {share_float:.0%}, the worst by {worst_float:.0f}")

# The peer and the float image show that a spline through the pixels is no excuse.
assert np.array_equal(map_coordinates(eight, np.indices(eight.shape), order=3, mode="mirror"), eight)
assert share_float == 0 and worst_float < 1e-6
assert share > 0.4 and worst > 200, f"changed: {share}, {worst}"
assert share_12 > 0.4 and worst_12 > 40000, f"changed: {share_12}, {worst_12}"
print("reproduced")
PY
