#!/usr/bin/env bash
# ngff-zarr: reading an OME-Zarr loses the pixel size that stands at the multiscales level, and writing makes it final.
#
# Versions   ngff-zarr 0.50.0, bioio 3.6.0 with bioio-ome-zarr 3.8.1, ome-zarr-models 1.7, zarr 3.1.6, numpy 2.4.6
#            (also ome-zarr-models 1.8.1 and zarr 3.4.2).
# Expected   OME-Zarr 0.4 and 0.5 let a writer put the factor of each level beside its dataset, and the physical pixel
#            size, once for all levels, beside them in multiscales; the second is applied after the first. The pixel
#            size of level n is the product.
# Happens    from_ngff_zarr reads the datasets' part only and says nothing: every pixel is 1 x 1 x 1 of the axes' unit,
#            which it does keep, so the result claims micrometres. to_ngff_zarr then writes a file without the pixel
#            size. BioIO multiplies the two, as the specification says.
# Output     in the file                 (2.0, 0.5, 0.5), valid by ome-zarr-models
#            BioIO                       (2.0, 0.5, 0.5)
#            ngff-zarr                   (1.0, 1.0, 1.0) micrometer
#            BioIO, ngff-zarr's copy     (1.0, 1.0, 1.0)
# Hurts      Anisotropic microscopy converted or repacked with ngff-zarr: volumes, distances and diameters are wrong by
#            powers of the pixel size, and isotropic spacing is assumed where z is four times as coarse.
# Instead    Multiply the two yourself when reading (both are in the metadata's JSON), and write the whole scale into
#            every dataset, where all readers look.
# Known as   For other readers: ome/ome-zarr-py#172 and ome/napari-ome-zarr#73, open; ome/ngff#201 proposes to give the
#            second place up. Not reported for ngff-zarr as far as we could find.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'ngff-zarr==0.50.0' 'bioio==3.6.0' 'bioio-ome-zarr==3.8.1' 'ome-zarr-models==1.7' \
    'zarr==3.1.6' 'numpy==2.4.6'
cd "$work"

"$work/venv/bin/python" - <<'PY'
import logging
import warnings
from pathlib import Path

import bioio_ome_zarr
import ngff_zarr
import numpy as np
import zarr
from bioio import BioImage
from ome_zarr_models.v05 import Image

warnings.simplefilter("ignore")  # Deprecations inside the packages; none is about this.
logging.disable(logging.CRITICAL)

pixel_size = [2.0, 0.5, 0.5]
pixels = np.arange(4 * 8 * 8, dtype=np.uint16).reshape(4, 8, 8)
group = zarr.open_group("in.ome.zarr", mode="w", zarr_format=3)
datasets = []
for name, level, factors in [("0", pixels, [1.0, 1.0, 1.0]), ("1", pixels[:, ::2, ::2], [1.0, 2.0, 2.0])]:
    group.create_array(name, data=level, chunks=level.shape, dimension_names=list("zyx"))
    datasets.append({"path": name, "coordinateTransformations": [{"type": "scale", "scale": factors}]})
group.attrs["ome"] = {
    "version": "0.5",
    "multiscales": [
        {
            "name": "cells",
            "axes": [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"],
            "datasets": datasets,
            "coordinateTransformations": [{"type": "scale", "scale": pixel_size}],
        }
    ],
}
Image.from_zarr(zarr.open_group("in.ome.zarr", mode="r"))  # Raises where the metadata is not valid.


def by_bioio(path):
    sizes = BioImage(Path(path).absolute(), reader=bioio_ome_zarr.Reader).physical_pixel_sizes
    return sizes.Z, sizes.Y, sizes.X


print("in the file                ", f"{tuple(pixel_size)}, valid by ome-zarr-models")
print("BioIO                      ", before := by_bioio("in.ome.zarr"))
multiscales = ngff_zarr.from_ngff_zarr("in.ome.zarr")
first = multiscales.images[0]
scale = tuple(first.scale[axis] for axis in "zyx")
print("ngff-zarr                  ", scale, *set(first.axes_units.values()))
ngff_zarr.to_ngff_zarr("out.ome.zarr", multiscales, version="0.5")
print("BioIO, ngff-zarr's copy    ", after := by_bioio("out.ome.zarr"))

assert before == tuple(pixel_size), before
assert scale == (1.0, 1.0, 1.0), f"changed: {scale}"
assert set(first.axes_units.values()) == {"micrometer"}
assert after == (1.0, 1.0, 1.0), f"changed: {after}"
print("reproduced")
PY
