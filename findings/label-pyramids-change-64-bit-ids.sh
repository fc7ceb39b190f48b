#!/usr/bin/env bash
# ome-zarr and ngff-zarr: in a pyramid of labels, 64-bit ids are other ids at every level but the first.
#
# Versions   ome-zarr 0.18.0, ngff-zarr 0.18.2, dask-image 2026.5.0, zarr 3.1.6, dask 2025.11.0, scikit-image 0.26.0,
#            scipy 1.17.1, numpy 2.4.6.
# Expected   Labels are downsampled by taking pixels, so every id of a smaller level is an id of the image: that is why
#            write_labels has nearest as its default, and to_multiscales methods for labels.
# Happens    The pixels are taken by scikit-image's resize, ITK's or SciPy's resampling, in float64, and cast back. Above
#            2^53 ids become the nearest multiple of 2, 4, ...; at 18 digits, which ids of connectomes have, of 128.
#            Neighbours whose ids are close become one. In ome-zarr the smallest and the largest id of the image stay as
#            they are, since the result is clipped to the range of the image. dtype and outlines are right, level 0 is
#            right, nothing is said.
# Output     ids: 720575940610453042, 720575940621039145, 720575940628857210, 720575940628857211
#            ome-zarr write_labels, level 1: 720575940610453042, 720575940621039104, 720575940628857211
#            ngff-zarr label image, level 1: 720575940610452992, 720575940621039104, 720575940628857216
#            ngff-zarr mode and nearest: the same
# Hurts      Whoever publishes or views a segmentation with 64-bit ids (segments of connectomes, ids made of a block's
#            number and a label) as OME-Zarr: a viewer that is zoomed out shows and copies ids that are in no table, and
#            volumes or contacts that are counted on a smaller level are those of other segments.
# Instead    Slice: levels[k] = levels[k - 1][..., ::2, ::2], and write them with write_multiscale_labels; or number the
#            segments 1..n and keep a table.
# Known as   Interpolated label values of Dask arrays were reported and mended (ome-zarr-py issue 482); ids that pass
#            through float64 were not, as far as we could find.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'ome-zarr==0.18.0' 'ngff-zarr==0.18.2' 'dask-image==2026.5.0' 'zarr==3.1.6' \
    'dask==2025.11.0' 'scikit-image==0.26.0' 'scipy==1.17.1' 'numpy==2.4.6'

cd "$work"
"$work/venv/bin/python" - <<'PY' | grep -v '^is_vector\|^ITK Image\|^Image(\|^ \|^)\|^[.]'  # what ITK prints
import warnings

import ngff_zarr
import numpy as np
import zarr
from ome_zarr.writer import write_image, write_labels, write_multiscale_labels

warnings.simplefilter("ignore")
ids = [720575940610453042, 720575940621039145, 720575940628857210, 720575940628857211]
cells = np.kron(np.array(ids, np.uint64).reshape(2, 2), np.ones((64, 64), np.uint64))
print("ids:", ids)


def ids_in(pixels):
    pixels = np.asarray(pixels)
    assert pixels.shape == (64, 64) and pixels.dtype == np.uint64
    return [int(value) for value in np.unique(pixels)]


root = zarr.open_group("cells.zarr", mode="w")
write_image(np.zeros(cells.shape, np.uint8), root, axes="yx")
write_labels(cells, root, name="cells", axes="yx")
stored = root["labels/cells"]
assert np.array_equal(stored["s0"][:], cells)
found = ids_in(stored["s1"][:])
print("ome-zarr write_labels, level 1:", found)
assert found == [720575940610453042, 720575940621039104, 720575940628857211], "changed: ome-zarr"

image = ngff_zarr.to_ngff_image(cells, dims=("y", "x"))
for name in ("ITKWASM_LABEL_IMAGE", "DASK_IMAGE_MODE", "DASK_IMAGE_NEAREST"):
    levels = ngff_zarr.to_multiscales(image, scale_factors=[2], method=ngff_zarr.Methods[name])
    found = ids_in(levels.images[1].data)
    print(f"ngff-zarr {name}, level 1:", found)
    assert found == [720575940610452992, 720575940621039104, 720575940628857216], f"changed: ngff-zarr {name}"

write_multiscale_labels([cells, cells[::2, ::2]], root, name="sliced", axes="yx")
assert ids_in(next(pixels for pixels in root["labels/sliced"].arrays() if pixels[1].shape == (64, 64))[1][:]) == ids
print("sliced, level 1: unchanged")
print("reproduced")
PY
