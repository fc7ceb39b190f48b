"""A plain script: read the images and labels of a folder, compute weight maps, save each image as .npz.

python script_weights.py FOLDER OUT
"""

import sys
from pathlib import Path

import numpy as np
import tifffile

import unetprep

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
for path in sorted((source / "images").iterdir()):
    image, labels = tifffile.imread(path), tifffile.imread(source / "masks" / path.name)
    np.savez(out / f"{path.stem}.npz", image=image, labels=labels, weights=unetprep.weight_map(labels))
