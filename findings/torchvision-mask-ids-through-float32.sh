#!/usr/bin/env bash
# torchvision: the v2 transforms move integer masks through float32, so instance ids above 16777216 become other ids.
#
# Versions   torchvision 0.28.0, torch 2.13.0, numpy 2.4.6 (also torchvision 0.29.2 with torch 2.15.0).
# Expected   tv_tensors.Mask is resampled by nearest neighbour, so every id of the result is one of the input or the
#            fill.
# Happens    Resize, rotate, affine, perspective and elastic convert an int32 or int64 mask to float32, resample, round
#            and convert back. float32 has 24 bits of mantissa: larger ids are moved to a neighbouring even number
#            (above 2^25 to a multiple of 4, and so on), and two cells with adjacent ids become one. The dtype stays
#            int64, the outlines are right, nothing is said. Flips and crops keep the ids, so one and the same pipeline
#            changes the ids or not, by the draw of its random transforms.
# Output     ids in: 20000000, 20000001, 20000003, 20000005
#            resize, rotate, affine, perspective, elastic: 20000000, 20000004
#            horizontal flip, crop: unchanged
# Hurts      Connectomics and whole-slide data, whose segment ids are larger as a rule (supervoxels, ids made of a
#            block's number and a label, 64-bit hashes): cells merge, a look-up of an id in its table finds another
#            cell or none, and a loss or metric by instance is computed on objects that never existed.
# Instead    Relabel each crop to 1..n before the transforms and keep the map, e.g. with skimage's relabel_sequential.
# Known as   Not reported for torchvision as far as we could find, nor in the documentation of Mask or the transforms.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torchvision==0.28.0' 'torch==2.13.0' 'numpy==2.4.6'

# Next to a CPU build of torch, torchvision's Linux wheel cannot load its compiled operators and then stops at the
# import, for want of two declarations. The transforms use none of these operators.
"$work/venv/bin/python" -c 'import torchvision' 2> "$work/import.log" || export DECLARE_OPERATORS=1

"$work/venv/bin/python" - <<'PY'
import os
import warnings

import torch

if os.environ.get("DECLARE_OPERATORS"):
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision import tv_tensors
from torchvision.transforms import v2

warnings.simplefilter("error")
torch.manual_seed(0)
ids = [20_000_000, 20_000_001, 20_000_003, 20_000_005]
cells = torch.tensor(ids).reshape(2, 2).repeat_interleave(32, 0).repeat_interleave(32, 1)


def ids_after(transform, dtype):
    """The ids of the mask after the transform, without the fill."""
    mask = tv_tensors.Mask(cells[None].to(dtype))
    result = transform(mask)
    assert isinstance(result, tv_tensors.Mask) and result.dtype == dtype
    return [value for value in result.unique().tolist() if value != 0]


print("ids in:", ids)
changing = {
    "resize": v2.Resize((48, 48)),
    "rotate": v2.RandomRotation((15, 15)),
    "affine": v2.RandomAffine(0, translate=(0.1, 0.1)),
    "perspective": v2.RandomPerspective(0.2, p=1),
    "elastic": v2.ElasticTransform(20.0),
}
for name, transform in changing.items():
    for dtype in (torch.int32, torch.int64):
        after = ids_after(transform, dtype)
        assert after == [20_000_000, 20_000_004], f"changed: {name}, {dtype}: {after}"
    print(f"{name}: {after}")
for name, transform in {"horizontal flip": v2.RandomHorizontalFlip(1), "crop": v2.CenterCrop(48)}.items():
    assert ids_after(transform, torch.int64) == ids, f"changed: {name}"
    print(f"{name}: unchanged")
print("reproduced")
PY
