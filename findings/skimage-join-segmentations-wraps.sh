#!/usr/bin/env bash
# scikit-image: join_segmentations wraps around in the dtype of its inputs and merges regions that never meet.
#
# Versions   scikit-image 0.26.0, numpy 2.4.6 (also with numpy 2.2.6).
# Expected   One new label for each pair of labels that occurs, and m1[j] == s1 with return_mapping=True, which the
#            docstring shows as a property of the result.
# Happens    Each pair is numbered as (max(s2) + 1) * s1 + s2 in the inputs' own dtype. As soon as that product passes
#            255 (uint8) or 65535 (uint16) it wraps, and unrelated pairs get one number. Both inputs may be far from
#            full: 22 labels in each are enough for uint8, 300 for uint16. No error and no warning; the maps that are
#            returned are wrong in the same way, so they cannot be used to notice it.
# Output     uint8, 22 x 22 regions: 484 expected, 255 returned; m1[j] == s1 holds at 46% of the pixels
#            uint16, 300 x 300 regions: 90000 expected, 65401 returned; m1[j] == s1 holds at 72% of the pixels
#            the same arrays as int64: 484 and 90000 returned; m1[j] == s1 holds at 100% of the pixels
# Hurts      Whoever intersects two label images (nuclei with tiles, superpixels or a second channel's cells) that
#            were read from 8-bit or 16-bit files, as label images usually are: counts come out too low, and areas
#            and intensities are summed over pieces of different cells.
# Instead    Pass int64 arrays: join_segmentations(s1.astype(np.int64), s2.astype(np.int64)).
# Known as   Not reported as far as we could find; scikit-image#7291 is about an error for uint64 on the same line.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'scikit-image==0.26.0' 'numpy==2.4.6'

"$work/venv/bin/python" - <<'PY'
import warnings

import numpy as np
from skimage.segmentation import join_segmentations

warnings.simplefilter("error")  # A warning would be fair notice: then this is no finding any more.


def stripes(count, width, dtype):
    """Two label images of `count` stripes each, across and down: every pair of labels meets exactly once."""
    row, column = np.indices((count * width, count * width)) // width + 1
    return row.astype(dtype), column.astype(dtype)


seen = {}
for count, width, dtype in [(22, 3, np.uint8), (22, 3, np.int64), (300, 1, np.uint16), (300, 1, np.int64)]:
    rows, columns = stripes(count, width, dtype)
    assert rows.max() == count <= np.iinfo(dtype).max, "the inputs themselves fit their dtype"
    joined, to_rows, _ = join_segmentations(rows, columns, return_mapping=True)
    held = float((np.asarray(to_rows[joined]) == rows).mean())
    seen[np.dtype(dtype).name, count] = len(np.unique(joined))
    print(
        f"{np.dtype(dtype).name}, {count} x {count} regions: {count**2} expected, {len(np.unique(joined))} returned; "
        f"m1[j] == s1 holds at {held:.0%} of the pixels"
    )

assert seen["int64", 22] == 22**2 and seen["int64", 300] == 300**2, seen
assert seen["uint8", 22] == 255, f"changed: {seen}"
assert seen["uint16", 300] == 65401, f"changed: {seen}"
print("reproduced")
PY
