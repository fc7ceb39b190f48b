"""Our reader of chunks, held against zarr-python; and what is damaged, gone or changed is named."""

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec

import unettrain.data.chunk_reader
from unettrain.data.chunk_reader import CHECK_S, ChunkReader
from unettrain.errors import Failure

COMPRESSORS: dict[str, list[Any]] = {
    "none": [],
    "zstd": [ZstdCodec(level=3)],
    "zstd-fast": [ZstdCodec(level=-1)],
    "lz4": [BloscCodec(cname="lz4", shuffle="shuffle", typesize=2)],
    "blosc-zstd": [BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=2)],
}


def make(
    folder: Path, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], codec: str, **more: Any
) -> tuple[zarr.Array[Any], NDArray[Any]]:
    """An array, and what it holds: smooth values with some noise, and a stretch of zeros."""
    array = zarr.create_array(
        folder,
        name="a",
        shape=shape,
        dtype=more.pop("dtype", "uint16"),
        chunks=chunk,
        shards=shard,
        compressors=[*COMPRESSORS[codec], Crc32cCodec()],
        fill_value=0,
        **more,
    )
    rng = np.random.default_rng(0)
    values = (np.add.outer(*[np.arange(n) for n in (shape[0], int(np.prod(shape[1:])))]) % 97).reshape(shape)
    values = (values + rng.integers(0, 3, shape)).astype(array.dtype)
    values[shape[0] // 2 :: 3] = 0
    array[...] = values
    return array, values


def shard_file(array: zarr.Array[Any], *index: int) -> Path:
    return Path(str(array.store_path).removeprefix("file://")).joinpath("c", *map(str, index))


def read(chunks: ChunkReader, place: tuple[int, ...], out: NDArray[Any]) -> str:
    """Read a chunk; what was wrong, if something was."""
    try:
        chunks.read(place, out)
    except Failure as error:
        return str(error)
    return ""


def is_fast(chunks: ChunkReader) -> bool:
    return chunks._layout is not None


@pytest.mark.parametrize("codec", [*COMPRESSORS])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_every_chunk_is_what_zarr_reads(codec: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    ndim = data.draw(st.integers(1, 3))
    chunk = tuple(data.draw(st.lists(st.integers(1, 5), min_size=ndim, max_size=ndim)))
    counts = data.draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim))
    shape = tuple(data.draw(st.lists(st.integers(1, 15), min_size=ndim, max_size=ndim)))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32", "int32"]))
    shard = tuple(c * n for c, n in zip(chunk, counts, strict=True))
    array, values = make(tmp_path_factory.mktemp("a"), shape, chunk, shard, codec, dtype=dtype)
    chunks = ChunkReader(zarr.open_array(array.store_path, mode="r"), "ds.zarr")
    assert is_fast(chunks)
    np.testing.assert_array_equal(np.asarray(array[...]), values)
    for place in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunk, strict=True))):
        out = np.full(chunk, 77, dtype)
        box = tuple(slice(p // n * s, (p // n + 1) * s) for p, n, s in zip(place, counts, shard, strict=True))
        if not values[box].any():  # zarr has not written it
            assert "is missing" in read(chunks, place, out)
            continue
        chunks.read(place, out)
        there = values[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunk, strict=True))]
        np.testing.assert_array_equal(out[tuple(slice(0, n) for n in there.shape)], there)


@pytest.mark.parametrize(
    "unusual",
    [
        {"shards": None},
        {"compressors": [GzipCodec(), Crc32cCodec()]},
        {"compressors": [ZstdCodec()]},
        {"serializer": BytesCodec(endian="big")},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"serializer": ShardingCodec(chunk_shape=(1, 8), index_location="start"), "shards": None, "chunks": (8, 8)},
    ],
)
def test_what_is_stored_otherwise_is_read_by_zarr(tmp_path: Path, unusual: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"chunks": (1, 8), "shards": (8, 8), "compressors": [Crc32cCodec()]}
    if isinstance(unusual.get("serializer"), ShardingCodec):
        usual["compressors"] = None
    array = zarr.create_array(tmp_path / "a", shape=(20, 8), dtype="uint16", **(usual | unusual))
    values = np.arange(160, dtype=np.uint16).reshape(20, 8)
    array[...] = values
    chunks = ChunkReader(array, "ds.zarr")
    assert not is_fast(chunks)
    for k in (0, 9, 19):
        out = chunks.empty_row()
        chunks.read_row(k, out)
        np.testing.assert_array_equal(out, values[k])


def test_what_zarr_would_fill_in_for_a_missing_shard_is_refused(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path, name="a", shape=(12, 6), dtype="uint8", chunks=(1, 2), shards=(4, 4), compressors=[GzipCodec()]
    )
    with zarr.config.set({"array.write_empty_chunks": True}):
        array[...] = np.arange(72, dtype=np.uint8).reshape(12, 6) * (np.arange(12)[:, None] != 5)
    chunks, out = ChunkReader(array, "ds.zarr"), np.empty(6, np.uint8)
    chunks.read_row(5, out)  # zeros that are there
    assert not out.any()
    shard_file(array, 1, 1).unlink()
    with pytest.raises(Failure, match="a/c/1/1 is missing"):
        chunks.read_row(6, out)
    with pytest.raises(Failure, match="a/c/1/1 is missing"):
        chunks.read((6, 2), np.empty((1, 2), np.uint8))
    chunks.read_row(2, out)


def test_a_row_of_several_chunks_is_read_by_zarr(tmp_path: Path) -> None:
    array, values = make(tmp_path, (9, 8), (2, 4), (4, 8), "zstd")
    chunks, out = ChunkReader(array, "ds.zarr"), np.empty(8, np.uint16)
    for k in range(9):
        chunks.read_row(k, out)
        np.testing.assert_array_equal(out, values[k])


@pytest.mark.parametrize("codec", [*COMPRESSORS])
def test_a_bit_flipped_anywhere_is_found_and_the_file_named(tmp_path: Path, codec: str) -> None:
    array, values = make(tmp_path, (16, 10, 10), (1, 10, 10), (8, 10, 10), codec)
    file = shard_file(array, 1, 0, 0)
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    for at in (*rng.integers(0, len(whole), 60).tolist(), 0, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        chunks, said = ChunkReader(array, "ds.zarr"), set[str]()
        for k in range(16):
            out = chunks.empty_row()
            wrong = read(chunks, (k, 0, 0), out)
            assert k >= 8 or not wrong
            np.testing.assert_array_equal(values[k] if wrong else out, values[k])
            said.add(wrong)
        (wrong,) = said - {""}
        assert "a/c/1/0/0 cannot be read: a checksum (crc32c) is wrong: the file is damaged, in ds.zarr" in wrong
        assert "unetprep verify ds.zarr --repair" in wrong


@pytest.mark.parametrize("codec", ["none", "zstd", "lz4"])
def test_what_is_cut_short_missing_or_of_another_array_is_named(tmp_path: Path, codec: str) -> None:
    array, _ = make(tmp_path, (16, 10, 10), (1, 10, 10), (8, 10, 10), codec)
    other, _ = make(tmp_path / "other", (16, 9, 10), (1, 9, 10), (8, 9, 10), codec)
    file = shard_file(array, 0, 0, 0)
    whole = file.read_bytes()
    out = np.empty((10, 10), np.uint16)
    for content in (b"", whole[:50], whole[: len(whole) // 2], shard_file(other, 0, 0, 0).read_bytes()):
        file.write_bytes(content)
        with pytest.raises(Failure, match=r"a/c/0/0/0 cannot be read: .*, in ds\.zarr"):
            ChunkReader(array, "ds.zarr").read_row(1, out)
    file.unlink()
    with pytest.raises(Failure, match=r"a/c/0/0/0 is missing, in ds\.zarr"):
        ChunkReader(array, "ds.zarr").read_row(1, out)


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_a_file_that_is_cut_short_between_two_looks_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    monkeypatch.setattr(unettrain.data.chunk_reader, "CHECK_S", 1e9)
    array, _ = make(tmp_path, (16, 10, 10), (1, 10, 10), (8, 10, 10), codec)
    chunks, out = ChunkReader(array, "ds.zarr"), np.empty((10, 10), np.uint16)
    for k in range(3):  # whose checksums are known to be right then
        chunks.read_row(k, out)
    os.truncate(shard_file(array, 0, 0, 0), 10)
    with pytest.raises(Failure, match=r"a/c/0/0/0 cannot be read: it is cut short, in ds\.zarr"):
        chunks.read_row(2, out)


def test_an_array_that_is_made_anew_meanwhile_is_noticed(tmp_path: Path) -> None:
    array, values = make(tmp_path, (32, 8), (1, 8), (8, 8), "lz4", attributes={"unetprep": {"fingerprint": "one"}})
    chunks, out = ChunkReader(array, "ds.zarr"), np.empty(8, np.uint16)
    chunks.read_row(0, out)
    array.attrs["unetprep"] = {"fingerprint": "one", "complete": True}
    chunks.read_row(9, out)
    np.testing.assert_array_equal(out, values[9])
    array.attrs["unetprep"] = {"fingerprint": "two"}
    chunks.read_row(10, out)  # of a shard that is open
    np.testing.assert_array_equal(out, values[10])
    with pytest.raises(Failure, match=r"a of ds\.zarr was replaced while it was read"):
        chunks.read_row(20, out)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted on Linux")
@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("in_place", [True, False])
def test_other_pixels_of_the_same_length_are_never_taken_for_these(tmp_path: Path, codec: str, in_place: bool) -> None:
    """Whether another file takes the name of the one that is open, or its bytes are written over."""
    array, values = make(tmp_path / "old", (8, 40), (1, 40), (4, 40), codec)
    other, _ = make(tmp_path / "new", (8, 40), (1, 40), (4, 40), codec)
    array.attrs["unetprep"], other.attrs["unetprep"] = {"fingerprint": "old"}, {"fingerprint": "new"}
    other[...] = values[::-1]
    chunks, out = ChunkReader(zarr.open_array(array.store_path, mode="r"), "ds.zarr"), np.empty(40, "uint16")
    for _ in range(2):
        chunks.read_row(1, out)
    np.testing.assert_array_equal(out, values[1])
    for file in sorted((tmp_path / "new").rglob("*"), reverse=True):
        target = tmp_path / "old" / file.relative_to(tmp_path / "new")
        if file.is_file() and in_place:
            target.write_bytes(file.read_bytes())
        elif file.is_file():
            file.replace(target)
    time.sleep(2 * CHECK_S)
    if in_place:
        with pytest.raises(Failure, match="was replaced while it was read"):
            chunks.read_row(1, out)
    else:
        chunks.read_row(1, out)  # what is open is as it was
        np.testing.assert_array_equal(out, values[1])
        with pytest.raises(Failure, match="was replaced while it was read"):
            chunks.read_row(5, out)


def test_what_comes_back_as_it_was_is_read_on(tmp_path: Path) -> None:
    array, values = make(tmp_path, (8, 40), (1, 40), (4, 40), "none")
    chunks, out = ChunkReader(array, "ds.zarr"), np.empty(40, "uint16")
    chunks.read_row(1, out)
    file = shard_file(array, 0, 0)
    time.sleep(2 * CHECK_S)
    file.write_bytes(file.read_bytes())
    chunks.read_row(2, out)
    np.testing.assert_array_equal(out, values[2])


def test_an_array_that_was_exchanged_before_its_first_shard_is_opened_is_noticed(tmp_path: Path) -> None:
    array, _ = make(tmp_path, (8, 40), (1, 40), (4, 40), "none")
    array.attrs["unetprep"] = {"fingerprint": "old"}
    opened = zarr.open_array(array.store_path, mode="r")
    array.attrs["unetprep"] = {"fingerprint": "new"}
    with pytest.raises(Failure, match="was replaced while it was read"):
        ChunkReader(opened, "ds.zarr").read_row(0, np.empty(40, "uint16"))


@pytest.mark.parametrize("length", [0, 3, 2**41, 2**63])
def test_an_index_of_nonsense_with_a_right_checksum_is_refused(tmp_path: Path, length: int) -> None:
    array, _ = make(tmp_path, (4, 40), (1, 40), (4, 40), "lz4")
    file = shard_file(array, 0, 0)
    data = bytearray(file.read_bytes())
    table = np.frombuffer(bytes(data[-68:-4]), "<u8").copy()
    table[1] = length
    data[-68:-4] = table.tobytes()
    data[-4:] = google_crc32c.value(bytes(data[-68:-4])).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(Failure, match="its index points beyond its end"):
        ChunkReader(array, "ds.zarr").read_row(0, np.empty(40, "uint16"))


def test_few_files_stay_open_and_none_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unettrain.data.chunk_reader, "MOST_OPEN", 5)
    array, values = make(tmp_path, (400, 4), (1, 4), (4, 4), "none")
    gc.collect()
    before = open_files()
    chunks, wrong = ChunkReader(array, "ds.zarr"), list[int]()

    def work(chunks: ChunkReader, seed: int) -> None:
        out = chunks.empty_row()
        for k in np.random.default_rng(seed).integers(0, 400, 2000).tolist():
            if not values[4 * (k // 4) : 4 * (k // 4) + 4].any():
                continue  # zarr has not written it
            chunks.read_row(k, out)
            if not (out == values[k]).all():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(chunks, seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert open_files() <= before + 5
    del chunks
    gc.collect()
    assert open_files() == before
