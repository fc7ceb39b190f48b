#!/usr/bin/env bash
# SciPy and OpenCV: the distance transform of a crop that lies inside one object is a plausible picture of nothing.
#
# Versions   scipy 1.17.1 (also 1.18.1), opencv-python-headless 5.0.0.93, edt 3.1.2, numpy 2.4.6.
# Expected   There is no background pixel to measure to, so: infinity, or an error. edt returns infinity.
# Happens    scipy.ndimage.distance_transform_edt measures to a pixel that does not exist, one row above the upper left
#            corner: a smooth ramp that starts at 1 in that corner, and that does not turn when the image is turned.
#            cv2.distanceTransform returns a finite constant, and which one depends on the mask size; with the exact
#            mask also on the image's size and on the number of threads (x86-64 wheel: its single-threaded path is
#            Intel's library, the other one OpenCV's own).
# Output     512 x 512, all foreground
#            scipy                     from 1.0 to 723.4, measured to (-1, 0)
#            edt                       inf
#            cv2 3 x 3, 5 x 5 mask     3.403e+38
#            cv2 exact, 1 thread       1.8447e+19
#            cv2 exact, 2 threads      65536
# Hurts      Training on distance or signed-distance maps, boundary losses and border weight maps computed per crop:
#            a crop inside a large nucleus, a cell body or a membrane-free tile gets SciPy's ramp as its target, which
#            looks like data. With OpenCV, a map divided by its own maximum becomes 1 everywhere, and a cut-off between
#            1e5 and 1e19 makes the result depend on the number of threads.
# Instead    Test mask.all() first and decide what such a crop shall mean, or take edt and handle its inf; better,
#            compute the map on the whole image and crop that.
# Known as   scipy#1616 and scipy#15585 (undocumented; a change to infinity is proposed in scipy#25528); OpenCV's
#            threads: opencv#24082 is about rounding between the same two paths, not about this.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'scipy==1.17.1' 'opencv-python-headless==5.0.0.93' 'edt==3.1.2' 'numpy==2.4.6'

"$work/venv/bin/python" - <<'PY'
import warnings

import cv2
import edt
import numpy as np
from scipy.ndimage import distance_transform_edt

warnings.simplefilter("error")
inside = np.ones((512, 512), np.uint8)

by_scipy = distance_transform_edt(inside)
row, column = np.indices(inside.shape)
print(f"scipy                     from {by_scipy.min():.1f} to {by_scipy.max():.1f}, measured to (-1, 0)")
assert np.allclose(by_scipy, np.hypot(row + 1, column)), "changed: scipy no longer measures to (-1, 0)"
assert not np.allclose(distance_transform_edt(inside.T), by_scipy.T), "changed: the result turns with the image"

by_edt = edt.edt(inside)
print(f"edt                       {by_edt.max()}")
assert np.isinf(by_edt).all(), "changed: edt is no longer infinite"

for size in (3, 5):
    by_cv2 = cv2.distanceTransform(inside, cv2.DIST_L2, size)
    print(f"cv2 {size} x {size} mask            {by_cv2.max():.3e}")
    assert np.unique(by_cv2).tolist() == [float(np.finfo(np.float32).max)], "changed: cv2 with a chamfer mask"

exact = {}
for threads in (1, 2):
    cv2.setNumThreads(threads)
    by_cv2 = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert len(np.unique(by_cv2)) == 1 and np.isfinite(by_cv2).all(), "changed: cv2 with the exact mask"
    exact[threads] = float(by_cv2.max())
    print(f"cv2 exact, {threads} thread{'s' if threads > 1 else ' '}      {exact[threads]:.5g}")
assert exact[2] == 65536, f"changed: {exact}"
if cv2.ipp.useIPP():
    assert exact[1] > 1e19, f"changed: {exact}"
print("reproduced")
PY
