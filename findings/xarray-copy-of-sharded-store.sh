#!/usr/bin/env bash
# xarray: a store of sharded Zarr arrays, opened with the defaults, cannot be written again.
#
# Versions   xarray 2026.9.0, zarr 3.1.6, dask 2026.8.0, numpy 2.4.6.
# Expected   xr.open_zarr(store).to_zarr(copy) copies a store, as it does where no array is sharded.
# Happens    open_zarr takes the inner chunks of an array as its Dask chunks, and keeps the shards in its encoding.
#            to_zarr compares the Dask chunks with the shards, and raises: many tasks would write parts of one shard.
#            The message calls the shards encoding['chunks'] and proposes to rechunk; drop_encoding() does not keep
#            shards; only `chunks` of whole shards at opening does. In a group whose arrays have equal shards but other
#            inner chunks, `.chunks` raises too, and so does map_blocks.
# Output     unsharded: copied
#            sharded: ValueError: Specified Zarr chunks encoding['chunks']=(64, 8, 8) for variable named 'image' ...
#            two arrays of one shard size: ValueError: Object has inconsistent chunks along dimension tile
#            opened with chunks={'tile': 64}: copied
#            shards of the copy: (64, 8, 8)
# Hurts      Whoever copies, subsets or converts a sharded store with xarray: training tiles, whole-slide pyramids and
#            volumes, for which shards were made. A script that worked fails as soon as the writer turns on sharding.
# Instead    Open with chunks={axis: shard length}, and give all arrays of a group one shard length along a shared axis.
# Known as   Sharding is documented as an encoding for writing; we found no report of the round trip.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'xarray==2026.9.0' 'zarr==3.1.6' 'dask==2026.8.0' 'numpy==2.4.6'

cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import xarray as xr
import zarr

warnings.simplefilter("ignore")


def store(path, **arrays):
    group = zarr.open_group(path, mode="w")
    for name, (chunks, shards) in arrays.items():
        shape = (128, 8, 8)[: len(chunks)]
        array = group.create_array(
            name, shape=shape, dtype="uint8", chunks=chunks, shards=shards,
            dimension_names=("tile", "y", "x")[: len(chunks)],
        )
        array[...] = np.ones(shape, np.uint8)


def copied(path, **options):
    try:
        dataset = xr.open_zarr(path, consolidated=False, **options)
        dataset.chunks  # raises where the arrays do not agree
        dataset.to_zarr("copy.zarr", mode="w", zarr_format=3, consolidated=False)
        return "copied"
    except ValueError as error:
        return f"ValueError: {str(error).split('. ')[0][:90]}"


store("plain.zarr", image=((1, 8, 8), None))
store("sharded.zarr", image=((1, 8, 8), (64, 8, 8)))
store("two.zarr", image=((1, 8, 8), (64, 8, 8)), weight=((64,), (64,)))
results = {
    "unsharded": copied("plain.zarr"),
    "sharded": copied("sharded.zarr"),
    "two arrays of one shard size": copied("two.zarr"),
    "opened with chunks={'tile': 64}": copied("two.zarr", chunks={"tile": 64}),
}
for name, result in results.items():
    print(f"{name}: {result}")
print("shards of the copy:", zarr.open_array("copy.zarr/image").shards)
assert [r.split(":")[0] for r in results.values()] == ["copied", "ValueError", "ValueError", "copied"], results
assert "encoding['chunks']=(64, 8, 8)" in results["sharded"], results
assert "inconsistent chunks along dimension tile" in results["two arrays of one shard size"], results
assert zarr.open_array("copy.zarr/image").shards == (64, 8, 8)
print("reproduced")
PY
