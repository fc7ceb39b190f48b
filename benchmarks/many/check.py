"""Whether scripts and commands have computed the same.

    python -m benchmarks.many.check folder STORE NPZ NPY
    python -m benchmarks.many.check large STORE ARRAYS

Weights are compared by where they are 0: a script balances the classes over an image or a block, a command over all.
"""

import sys
from pathlib import Path

import numpy as np
import zarr

from unetprep.format.layout import TILES, labels_path, weights_path
from unetprep.store import Store


def check_tiles(store: Path, cut: Path) -> None:
    """Image and target of all tiles, and where their weights are 0."""
    ours = Store.open(str(store))
    for name in ("image", "target", "weights"):
        values = ours.read_all(f"{TILES}/{name}")
        theirs = np.concatenate([np.load(path) for path in sorted(cut.glob(f"*.{name}.npy"))]).reshape(values.shape)
        if name == "weights":
            values, theirs = values > 0, theirs > 0
        np.testing.assert_array_equal(values, theirs, err_msg=f"tiles/{name}")


def check_large(store: Path, plain: Path) -> None:
    """Labels and target of the image."""
    ours = Store.open(str(store))
    (group,) = ours.groups
    for name, path in (("labels", labels_path(group, "instances")), ("target", labels_path(group, "target"))):
        theirs = np.asarray(zarr.open_array(plain / name, mode="r")[...])
        np.testing.assert_array_equal(ours.read_all(path)[0], theirs, err_msg=name)
    values = ours.read_all(weights_path(group))[0]
    theirs = np.asarray(zarr.open_array(plain / "weights", mode="r")[...])
    np.testing.assert_array_equal(values > 0, theirs > 0, err_msg="weights")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["folder", where, _, cut_by_script]:
            check_tiles(Path(where), Path(cut_by_script))
        case ["large", where, made]:
            check_large(Path(where), Path(made))
        case _:
            sys.exit(__doc__)
