"""Reading tiles at random: ours against a copy from a memory-mapped file, the bare decoder, zarr-python and others.

    python -m benchmarks.stream.reading FOLDER        writes reading.json beside this file

A tile is an image of 572 x 572 uint8, a target of 388 x 388 uint8 and weights of 388 x 388 float16, of generated cells,
64 to a shard. It is read into arrays that are there; one thread, all of it in the page cache. h5py, LMDB and webdataset
are measured where they are installed, the last in order, since it knows no other.
"""

import importlib
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from benchmarks.measure import machine, ratio, write
from unetprep import weight_map
from unetprep.format.codecs import codec_documents
from unetprep.sources.cells import Cells, brightness
from unettrain.data.chunk_reader import ChunkReader

HERE = Path(__file__).parent
TILES, SHARD = 512, 64
READS = 64  # tiles a call
PAIRS = 15
CODECS = ("none", "lz4", "zstd")

Arrays = dict[str, NDArray[Any]]
Read = Callable[[int], object]


def make_tiles() -> Arrays:
    """All tiles: windows of one field of cells, turned and mirrored."""
    side = 1500
    labels = Cells((side, side), 900, 0.5).window((0, 0), (side, side))
    image = brightness(labels, [0])
    weights = weight_map(labels).astype(np.float16)
    rng = np.random.default_rng(0)
    made: dict[str, list[NDArray[Any]]] = {"image": [], "target": [], "weights": []}
    for _ in range(TILES):
        y, x = rng.integers(0, side - 572, 2).tolist()
        quarters = int(rng.integers(4))
        for name, whole, inset in (
            ("image", image, 0),
            ("target", (labels > 0).astype(np.uint8), 92),
            ("weights", weights, 92),
        ):
            window = whole[y + inset : y + 572 - inset, x + inset : x + 572 - inset]
            made[name].append(np.rot90(window, quarters))
    return {name: np.ascontiguousarray(np.stack(parts)) for name, parts in made.items()}


def at_random(read: Read) -> Callable[[], None]:
    """Some tiles, others in every call."""
    rng = np.random.default_rng(1)

    def run() -> None:
        for k in rng.integers(0, TILES, READS).tolist():
            read(k)

    return run


def by_memmap(folder: Path, tiles: Arrays, out: Arrays) -> Read:
    """A copy from a memory-mapped file."""
    for name, values in tiles.items():
        np.save(folder / f"{name}.npy", values)
    mapped = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in tiles}

    def read(k: int) -> None:
        for name, array in out.items():
            np.copyto(array, mapped[name][k])

    return read


def make_store(folder: Path, tiles: Arrays, codec: str) -> dict[str, zarr.Array[Any]]:
    """The tiles as a store holds them."""
    arrays = {}
    for name, values in tiles.items():
        arrays[name] = zarr.create_array(
            folder / f"{codec}.zarr",
            name=name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(1, *values.shape[1:]),
            shards=(SHARD, *values.shape[1:]),
            compressors=codec_documents(codec, values.dtype.name),
            config={"write_empty_chunks": True},
        )
        arrays[name][...] = values
    return {name: zarr.open_array(array.store_path, mode="r") for name, array in arrays.items()}


def by_us(arrays: dict[str, zarr.Array[Any]], out: Arrays) -> Read:
    """Ours."""
    chunks = {name: ChunkReader(array, "store") for name, array in arrays.items()}

    def read(k: int) -> None:
        for name, array in out.items():
            chunks[name].read_row(k, array)

    return read


def by_zarr(arrays: dict[str, zarr.Array[Any]], out: Arrays) -> Read:
    """zarr-python."""

    def read(k: int) -> None:
        for name in out:
            out[name][...] = arrays[name][k]

    return read


def by_decoder(tiles: Arrays, out: Arrays, codec: str) -> Read:
    """Nothing but to decompress what lies in memory: the least that it can take."""
    few = range(0, TILES, 8)
    codecs = {n: Zstd(3) if codec == "zstd" else Blosc("lz4", 5, Blosc.SHUFFLE) for n in tiles}
    packed = {
        n: [np.frombuffer(codecs[n].encode(np.ascontiguousarray(tiles[n][k])), np.uint8).copy() for k in few]
        for n in tiles
    }
    return lambda k: [codecs[n].decode(packed[n][k % len(few)], out[n]) for n in out]


def by_tensorstore(folder: Path, out: Arrays, codec: str) -> Read:
    """tensorstore, on the same store."""
    ts = importlib.import_module("tensorstore")
    context = ts.Context({"cache_pool": {"total_bytes_limit": 0}, "data_copy_concurrency": {"limit": 1}})
    opened = {}
    for name in out:
        place = {"driver": "file", "path": str(folder / f"{codec}.zarr" / name)}
        opened[name] = ts.open({"driver": "zarr3", "kvstore": place}, context=context, read=True).result()

    def read(k: int) -> None:
        futures = {name: array[k].read() for name, array in opened.items()}
        for name, future in futures.items():
            out[name][...] = future.result()

    return read


def by_h5py(folder: Path, tiles: Arrays, out: Arrays) -> Read:
    """An HDF5 file of chunks as large as a tile, not compressed."""
    h5py = importlib.import_module("h5py")
    with h5py.File(folder / "tiles.h5", "w") as file:
        for name, values in tiles.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]))
    opened = h5py.File(folder / "tiles.h5", "r")
    return lambda k: [opened[name].read_direct(out[name], np.s_[k]) for name in out]


def by_lmdb(folder: Path, tiles: Arrays, out: Arrays) -> Read:
    """A value for each array of each tile, not compressed."""
    lmdb = importlib.import_module("lmdb")
    environment = lmdb.open(str(folder / "lmdb"), map_size=2**32)
    with environment.begin(write=True) as transaction:
        for name, values in tiles.items():
            for k in range(TILES):
                transaction.put(f"{name}{k}".encode(), values[k].tobytes())
    reading = environment.begin(buffers=True)

    def read(k: int) -> None:
        for name, array in out.items():
            np.copyto(array, np.frombuffer(reading.get(f"{name}{k}".encode()), array.dtype).reshape(array.shape))

    return read


def by_webdataset(folder: Path, tiles: Arrays, out: Arrays) -> Read:
    """A tar file of arrays, not compressed, read in order."""
    wds = importlib.import_module("webdataset")
    path = str(folder / "tiles.tar")
    with wds.TarWriter(path) as writer:
        for k in range(TILES):
            writer.write({"__key__": f"{k:06}", **{f"{name}.npy": values[k] for name, values in tiles.items()}})

    def forever() -> Any:
        while True:
            yield from wds.WebDataset(path, shardshuffle=False).decode()

    samples = forever()

    def read(k: int) -> None:
        sample = next(samples)
        for name, array in out.items():
            array[...] = sample[f"{name}.npy"]

    return read


def main(where: str) -> None:
    """Measure, and write it down."""
    folder = Path(where)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tiles = make_tiles()
    out = {name: np.empty(values.shape[1:], values.dtype) for name, values in tiles.items()}
    memmap = at_random(by_memmap(folder, tiles, out))
    results: dict[str, Any] = {
        "machine": machine("numpy", "zarr", "numcodecs"),
        "tiles": TILES,
        "codecs": {},
        "others": {},
    }
    for codec in CODECS:
        arrays = make_store(folder, tiles, codec)
        read = by_us(arrays, out)
        for k in range(TILES):  # the first time a checksum is verified
            read(k)
            assert all((out[name] == values[k]).all() for name, values in tiles.items())
        ours = at_random(read)
        size = sum(f.stat().st_size for f in (folder / f"{codec}.zarr").rglob("*") if f.is_file())
        found = {
            "bytes_a_tile": size // TILES,
            "memmap": ratio(ours, memmap, PAIRS),
            "zarr-python": ratio(ours, at_random(by_zarr(arrays, out)), 3),
        }
        if codec != "none":
            found["decoder"] = ratio(ours, at_random(by_decoder(tiles, out, codec)), PAIRS)
        with suppress(ImportError):
            found["tensorstore"] = ratio(ours, at_random(by_tensorstore(folder, out, codec)), 5)
        results["codecs"][codec] = found
        if codec == "none":
            plain = ours
    for name, prepare in (("h5py", by_h5py), ("lmdb", by_lmdb), ("webdataset", by_webdataset)):
        try:
            results["others"][name] = ratio(plain, at_random(prepare(folder, tiles, out)), PAIRS)
        except ImportError as error:
            results["others"][name] = f"not installed: {error}"
    shutil.rmtree(folder)
    write(HERE / "reading.json", results)


if __name__ == "__main__":
    main(*sys.argv[1:])
