#!/usr/bin/env bash
# Cellpose: average_precision takes one cell off each image that has no background pixel, and can exceed 1.
#
# Versions   cellpose 4.2.1.1, numpy 2.4.6, scipy 1.17.1.
# Expected   AP = TP / (TP + FP + FN) lies in 0 to 1, and changing one pixel of the border cannot change it much.
# Happens    The cells are counted as "distinct values, less one", on the assumption that one of the values is the
#            background's 0. Where the cells cover the whole image, the count is one short in both masks: FP and FN
#            become -1, a missed or invented cell is forgiven, and the score of a perfect result depends on the number
#            of cells (12 / 10 here; with two cells the division is by zero). Only the number of true positives is
#            right. All that is said is NumPy's "invalid value encountered in divide", for an IoU with the background
#            that is then set to 0.
# Output     12 cells without background, against themselves: AP 1.2000, TP 12, FP -1, FN -1
#            12 cells, two of them merged by the prediction: AP 1.1000, TP 11, FP -1, FN 0
#            the same with one background pixel in a corner: AP 0.9167, TP 11, FP 0, FN 1
# Hurts      Scores on confluent monolayers, epithelia, plant tissue and dense neuropil, and on crops of any of them:
#            the mean over a test set is too high, the more so the fewer cells an image holds, and comparisons between
#            methods reward the one that leaves no background.
# Instead    Count with len(np.unique(mask[mask > 0])), or use stardist.matching.matching, which gets these masks right.
# Known as   Not reported for cellpose as far as we could find; vanvalenlab/deepcell-toolbox#53 was the same assumption.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
# What is used here imports torch for its version, and none of Cellpose's other requirements.
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'numpy==2.4.6' 'scipy==1.17.1' 'opencv-python-headless==5.0.0.93' \
    'fastremap==1.21.0' 'fill-voids==2.1.2' 'tqdm==4.70.1'
"$work/venv/bin/pip" install -q --no-deps 'cellpose==4.2.1.1'

"$work/venv/bin/python" - <<'PY'
import warnings

import numpy as np
from cellpose.metrics import average_precision

warnings.filterwarnings("ignore", "invalid value encountered in divide")
rng = np.random.default_rng(0)
pixels = np.indices((128, 128)).reshape(2, -1).T
seeds = rng.uniform(0, 128, (12, 2))
tissue = (((pixels[:, None] - seeds) ** 2).sum(-1).argmin(1) + 1).reshape(128, 128)
merged = np.where(tissue == 3, 4, tissue)
assert tissue.min() == 1 and len(np.unique(tissue)) == 12 and len(np.unique(merged)) == 11


def score(name, true, predicted):
    """AP, TP, FP and FN at an IoU of 0.5."""
    ap, tp, fp, fn = (float(value[0]) for value in average_precision(true, predicted, [0.5]))
    print(f"{name}: AP {ap:.4f}, TP {tp:.0f}, FP {fp:.0f}, FN {fn:.0f}")
    return round(ap, 4), tp, fp, fn


def with_a_background_pixel(mask):
    mask = mask.copy()
    mask[0, 0] = 0
    return mask


perfect = score("12 cells without background, against themselves", tissue, tissue)
short = score("12 cells, two of them merged by the prediction", tissue, merged)
right = score(
    "the same with one background pixel in a corner", with_a_background_pixel(tissue), with_a_background_pixel(merged)
)
assert right == (0.9167, 11, 0, 1), right
assert perfect == (1.2, 12, -1, -1), f"changed: {perfect}"
assert short == (1.1, 11, -1, 0), f"changed: {short}"
print("reproduced")
PY
