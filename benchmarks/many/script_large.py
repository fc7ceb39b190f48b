"""A plain script: weight map of one large label image, block by block with a halo, written by zarr-python.

    python script_large.py TIFF OUT

Labels, target and weights get the chunks, shards and codecs that `unetprep weights` gives them.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

import unetprep

BLOCK, CHUNK, HALO = 2048, 256, 31

source, out = Path(sys.argv[1]), Path(sys.argv[2])
labels = tifffile.imread(source).astype(np.int32)
arrays = {
    name: zarr.create_array(
        out / name,
        shape=labels.shape,
        dtype=dtype,
        chunks=(CHUNK, CHUNK),
        shards=(BLOCK, BLOCK),
        compressors=[ZstdCodec(level=3), Crc32cCodec()],
    )
    for name, dtype in (("labels", "int32"), ("target", "uint8"), ("weights", "float32"))
}
height, width = labels.shape
for y in range(0, height, BLOCK):
    for x in range(0, width, BLOCK):
        top, left = max(0, y - HALO), max(0, x - HALO)
        outer = labels[top : y + BLOCK + HALO, left : x + BLOCK + HALO]
        here = np.s_[y : y + BLOCK, x : x + BLOCK]
        inner = np.s_[y - top : y - top + BLOCK, x - left : x - left + BLOCK]
        arrays["labels"][here] = labels[here]
        arrays["target"][here] = unetprep.separate_instances(outer)[inner]
        arrays["weights"][here] = unetprep.weight_map(outer)[inner]
