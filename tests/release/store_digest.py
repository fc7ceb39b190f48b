"""A small store, made with the running Python, and a digest of each of its files as JSON on standard output.

    python -m tests.release.store_digest

It uses every stage and needs no torch. Nothing in the store may depend on the version of Python.
"""

import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import tifffile

from tests.synthetic import cell_image, cell_labels

COMMANDS = (
    "import --image images --labels masks --out ds.zarr --val-fraction 0.3 --test-fraction 0.3",
    "weights --out ds.zarr --sigma 3",
    "deform --out ds.zarr --fields 5 --seed 7",
    "tiles --out ds.zarr --tile 60 --depth 2 --instances",
)


def main() -> None:
    """Make the store in a temporary folder and print the digests."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_images()
        program = Path(sys.executable).with_name("unetprep")
        for line in COMMANDS:
            subprocess.run([str(program), *line.split(), "--quiet", "--workers", "1"], check=True, stdout=sys.stderr)
        print(json.dumps(digests(Path("ds.zarr"))))
        os.chdir("/")


def write_images() -> None:
    """Four images of several sizes, with their labels, of fixed times: a store records the sources."""
    for kind in ("images", "masks"):
        Path(kind).mkdir()
    for seed in range(4):
        labels = cell_labels((90 + 10 * seed, 80), 20, seed)
        for kind, pixels in {"images": cell_image(labels), "masks": labels}.items():
            tifffile.imwrite(f"{kind}/{seed}.tif", np.asarray(pixels), metadata=None)
            os.utime(f"{kind}/{seed}.tif", (1e9, 1e9))


def digests(store: Path) -> dict[str, str]:
    """The SHA-256 of each file of a store, by its path in it."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return {path.relative_to(store).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
