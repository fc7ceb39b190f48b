"""N5 datasets as sources: DATASET.n5/NAME, FILE.n5:/NAME, or the only dataset or pyramid in a container.

N5 specification 4.0.0 (github.com/saalfeldlab/n5): attributes.json lists the axes from the fastest, x, to the slowest;
a block is a file with a header and big-endian values. Blocks are decompressed by numcodecs.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape, inside, shard_box
from unetprep.sources.formats.table import INNER, split_name
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import pixel_size_of
from unetprep.sources.urls import is_url, storage_at
from unetprep.storage.base import Storage
from unetprep.storage.local import LocalStorage

ATTRIBUTES = "attributes.json"
DEEPEST = 8  # levels of groups that are searched
CODECS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gzip": lambda about: numcodecs.Zlib() if about.get("useZlib") else numcodecs.GZip(),
    "bzip2": lambda about: numcodecs.BZ2(),
    "lz4": lambda about: None,
    "xz": lambda about: numcodecs.LZMA(),
    "zstd": lambda about: numcodecs.Zstd(),
    "blosc": lambda about: numcodecs.Blosc(),
    "raw": lambda about: None,
}


@dataclass(frozen=True)
class N5Source(Source):
    """A dataset of an N5 container."""

    dataset: str = ""

    def _read_file(self, box: Box) -> NDArray[Any]:
        storage = _storage(split_name(self.path)[0], self.endpoint)
        about = _Dataset(_attributes(storage, self.dataset))
        box = tuple(slice(*b.indices(n)) for b, n in zip(box, about.shape, strict=True))
        out = np.zeros(box_shape(box), about.dtype.newbyteorder("="))
        for index in product(*(range(b.start // p, -(-b.stop // p)) for b, p in zip(box, about.block, strict=True))):
            block = about.read(storage, self.dataset, index)
            if block is None:
                continue
            cell = shard_box(index, about.shape, about.block)
            shared = tuple(slice(max(b.start, c.start), min(b.stop, c.stop)) for b, c in zip(box, cell, strict=True))
            out[inside(shared, box)] = block[inside(shared, cell)]
        return out

    def part_shape(self) -> tuple[int, ...]:
        """Shape of a block."""
        return _Dataset(_attributes(_storage(split_name(self.path)[0], self.endpoint), self.dataset)).block


class _Dataset:
    """Attributes of a dataset, with axes in the order of NumPy."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.shape = tuple(map(int, reversed(attributes["dimensions"])))
        self.block = tuple(map(int, reversed(attributes["blockSize"])))
        self.dtype = np.dtype(attributes["dataType"]).newbyteorder(">")
        about = attributes.get("compression", attributes.get("compressionType", "raw"))
        self._about = {"type": about} if isinstance(about, str) else about
        if len(self.shape) != len(self.block) or min(self.block, default=0) < 1 or min(self.shape, default=0) < 0:
            raise ValueError(f"dimensions are {self.shape}, blockSize {self.block}")
        if self._about["type"] not in CODECS:
            raise ValueError(f"its compression is {self._about['type']!r}, allowed: {', '.join(CODECS)}")

    def read(self, storage: Storage, dataset: str, index: tuple[int, ...]) -> NDArray[Any] | None:
        """A block; None if it is missing, which means zeros."""
        try:
            data = storage.get("/".join(filter(None, (dataset, *map(str, reversed(index))))))
        except FileNotFoundError:
            return None
        mode, num = struct.unpack(">HH", data[:4])
        sides = struct.unpack(f">{num}I", data[4 : 4 + 4 * num])[::-1]
        if mode not in (0, 1) or num != len(self.shape) or any(s > b for s, b in zip(sides, self.block, strict=True)):
            raise ValueError(f"block {index} has the mode {mode} and the sides {sides}")
        body = data[4 + 4 * num + 4 * mode :]
        needed = prod(sides) * self.dtype.itemsize
        values = self._decompressed(body, needed)
        if len(values) < needed:
            raise ValueError(f"block {index} holds {len(values)} bytes, not {needed}")
        return np.frombuffer(values[:needed], self.dtype).reshape(sides)

    def _decompressed(self, body: bytes, num_bytes: int) -> bytes:
        if self._about["type"] == "lz4":
            return _lz4_blocks(body)
        codec = CODECS[self._about["type"]](self._about)
        return bytes(codec.decode(body)) if codec else body


def _lz4_blocks(body: bytes) -> bytes:
    """Decompress the stream of lz4-java: blocks with a header of 21 bytes, the last one empty."""
    values, at = [], 0
    while at < len(body):
        if body[at : at + 8] != b"LZ4Block":
            raise ValueError("a block of lz4 begins wrongly")
        token, stored, length = struct.unpack("<BII", body[at + 8 : at + 17])
        part = body[at + 21 : at + 21 + stored]
        if length:
            values.append(part if token & 0xF0 == 0x10 else numcodecs.LZ4().decode(struct.pack("<I", length) + part))
        at += 21 + stored
    return b"".join(map(bytes, values))


def open_file(path: str, choice: Choice, decode: Decode | None) -> N5Source:
    """The dataset that a path names, or the only one; of a pyramid s0, s1, ... the chosen level."""
    root, name = split_name(path)
    storage = _storage(root, "")
    levels = _levels(path, storage, root, name)
    dataset = levels[choice.pick_level(path, [_Dataset(_attributes(storage, level)).shape for level in levels])]
    about = _Dataset(attributes := _attributes(storage, dataset))
    check_memory(path, about.block, about.dtype.newbyteorder("=").name, "a block")
    axes = _axes(attributes, len(about.shape))
    sizes, units = _sizes(storage, dataset, attributes, axes)
    size, unit = pixel_size_of(sizes, units, needs_unit=False)
    return N5Source(path, axes, about.shape, about.dtype.newbyteorder("=").name, dataset, pixel_size=size, unit=unit)


def _storage(root: str, endpoint: str) -> Storage:
    return storage_at(root, endpoint) if is_url(root) else LocalStorage(root)


def _attributes(storage: Storage, path: str) -> dict[str, Any]:
    return _parsed(storage.get(f"{path}/{ATTRIBUTES}".lstrip("/")))


@lru_cache(64)
def _parsed(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError(f"{ATTRIBUTES} holds no object")
    return found


def _levels(path: str, storage: Storage, root: str, name: str) -> list[str]:
    """The datasets that are the levels of one image: a single one, or s0, s1, ... of a group."""
    if "dimensions" in _known(storage, name):
        return [name]
    images: dict[str, list[str]] = {}
    for found in _datasets(root, name) if not is_url(root) else _named_levels(storage, name):
        group, _, last = found.rpartition("/")
        is_level = last[:1] == "s" and last[1:].isdecimal()
        images.setdefault(group if is_level else found, []).append(found)
    if len(images) != 1:
        raise InvalidInput(
            f"{path} holds {len(images)} datasets",
            allowed=", ".join(f"{root}{INNER}{one}" for one in sorted(images)[:6]) or "an N5 container with a dataset",
        )
    return sorted(next(iter(images.values())), key=lambda one: (len(one), one))


def _known(storage: Storage, path: str) -> dict[str, Any]:
    try:
        return _attributes(storage, path)
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _named_levels(storage: Storage, name: str) -> list[str]:
    """The levels of a group on a server, which is not searched."""
    levels: list[str] = []
    while "dimensions" in _known(storage, level := f"{name}/s{len(levels)}".lstrip("/")):
        levels.append(level)
    return levels


def _datasets(root: str, name: str) -> list[str]:
    found = []
    for place in sorted(Path(root, name).rglob(ATTRIBUTES)):
        inner = place.parent.relative_to(root)
        name_inside = "/".join(inner.parts)  # "" for the root, which has attributes of its own
        if len(inner.parts) <= DEEPEST and "dimensions" in _known(LocalStorage(root), name_inside):
            found.append(name_inside)
    return found


def _axes(attributes: dict[str, Any], num: int) -> str:
    """Axes of a dataset, of which the first is the slowest: named by `axes`, else x is the fastest."""
    named = attributes.get("axes")
    if isinstance(named, list) and len(named) == num and all(isinstance(a, str) and len(a) == 1 for a in named):
        return "".join(reversed(named)).lower().replace("t", "z")
    return {2: "yx", 3: "zyx", 4: "czyx", 5: "zczyx"}.get(num, "?" * num)


def _sizes(
    storage: Storage, dataset: str, attributes: dict[str, Any], axes: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Pixel sizes and units by axis, as `resolution` (x, y, z), or `pixelResolution` with the `downsamplingFactors`."""
    resolution, unit = attributes.get("resolution"), attributes.get("units") or attributes.get("unit")
    pixel = attributes.get("pixelResolution")
    group = dataset.rpartition("/")[0]
    if resolution is None and pixel is None and group != dataset:
        above = _known(storage, group)
        resolution, unit = above.get("resolution"), above.get("units") or above.get("unit")
        pixel = above.get("pixelResolution")
    if isinstance(pixel, dict):
        resolution, unit = pixel.get("dimensions"), pixel.get("unit")
    elif isinstance(pixel, list):
        resolution = pixel
    if not isinstance(resolution, list):
        return {}, {}
    factors = attributes.get("downsamplingFactors")
    factors = factors if isinstance(factors, list) and len(factors) == len(resolution) else [1] * len(resolution)
    sizes = dict(zip(axes[::-1], [r * f for r, f in zip(resolution, factors, strict=True)], strict=False))
    units = unit if isinstance(unit, list) else [unit] * len(resolution)
    return sizes, {a: str(u or "") for a, u in zip(axes[::-1], units, strict=False)}
