"""A plain script: cut the tiles of `unetprep tiles` out of the files of script_weights.py, by numpy.pad and numpy.save.

    python script_tiles.py FOLDER OUT

Input tiles of 572 pixels give 388 of output, with a margin of 48 around both. Of each image, the tiles (tile, y, x) of
image, target and weights are saved.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

import unetprep

TILE, OUTPUT, MARGIN = 572, 388, 48
OUTER, INNER = TILE + 2 * MARGIN, OUTPUT + 2 * MARGIN
BEFORE = (OUTER - OUTPUT) // 2

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
for path in sorted(source.iterdir()):
    with np.load(path) as arrays:
        image, labels, weights = arrays["image"], arrays["labels"], arrays["weights"]
    target = unetprep.separate_instances(labels)
    origins = list(product(*(range(0, side, OUTPUT) for side in image.shape)))
    beyond = [-side % OUTPUT for side in image.shape]  # the last tiles extend beyond the image by this
    around_image = [(BEFORE, BEFORE + more) for more in beyond]
    around = [(MARGIN, MARGIN + more) for more in beyond]
    padded = {
        "image": (np.pad(image, around_image, mode="reflect"), OUTER),
        "target": (np.pad(target, around, mode="reflect"), INNER),
        "weights": (np.pad(weights, around), INNER),
    }
    for name, (values, side) in padded.items():
        np.save(out / f"{path.stem}.{name}.npy", np.stack([values[y : y + side, x : x + side] for y, x in origins]))
