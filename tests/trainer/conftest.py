"""Stores for the trainer's tests, built from LAYOUT.md by plain zarr calls, without unetprep's writer."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from unetprep.kernels.tiling import border_px
from unetprep.kernels.weights import weight_map

SPLITS = ("train", "val", "test")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@dataclass(frozen=True)
class Sample:
    """An image (c, z, y, x) with its target and weights (z, y, x)."""

    image: NDArray[Any]
    target: NDArray[np.uint8]
    weights: NDArray[np.float32]
    split: str = "train"


def draw_cells(side: int, seed: int, split: str = "train") -> Sample:
    """Bright discs on a dark noisy ground, some of which touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number in range(1, max(2, side * side // 700)):
        cy, cx, radius = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(6, 12)
        labels[((y - cy) ** 2 + (x - cx) ** 2 < radius**2) & (labels == 0)] = number
    image = np.where(labels > 0, 140, 70) + rng.normal(0, 20, labels.shape)
    target = (labels > 0).astype(np.uint8)
    weights = weight_map(labels, separate="none")
    return Sample(np.clip(image, 0, 255).astype(np.uint8)[None, None], target[None], weights[None], split)


def _attributes(path: str, stage: str, inputs: dict[str, str], **more: Any) -> dict[str, Any]:
    record = {"complete": True, "fingerprint": f"made:{path}", "stage": stage, "kernel_version": 1, "parameters": {}}
    return {"unetprep": {**record, "inputs": inputs, **more}}


def _put(root: zarr.Group, path: str, data: NDArray[Any], dims: Sequence[str], attributes: dict[str, Any]) -> None:
    chunks = (1, *data.shape[1:]) if data.ndim > 1 else data.shape
    with zarr.config.set({"array.write_empty_chunks": True}):
        root.create_array(
            path,
            data=data,
            chunks=chunks,
            shards=data.shape,
            compressors=[ZstdCodec(), Crc32cCodec()],
            dimension_names=dims,
            attributes=attributes,
        )


def _put_images(root: zarr.Group, samples: Sequence[Sample]) -> None:
    names = [f"cells{k}" for k in range(len(samples))]
    root.create_group("images", attributes={"unetprep": {"names": names}})
    for name, sample in zip(names, samples, strict=True):
        path = f"images/{name}"
        about = {"dims": 2, "split": sample.split, "intensity": [0.0, 255.0], "source": [f"{name}.png"]}
        root.create_group(path, attributes={"unetprep": about})
        _put(root, f"{path}/image", sample.image, "czyx", _attributes(f"{path}/image", "import", {"image": "digest"}))
        target = f"{path}/labels/target/target"
        inputs = {f"{path}/labels/instances/instances": "not in this store"}
        _put(root, target, sample.target, "zyx", _attributes(target, "weights", inputs))
        inputs = {target: f"made:{target}"}
        _put(root, f"{path}/weights", sample.weights, "zyx", _attributes(f"{path}/weights", "weights", inputs))


def _cut(sample: Sample, z: int, y0: int, x0: int, tile: int, depth: int, margin: int) -> tuple[NDArray[Any], ...]:
    before, inner = border_px(depth) // 2, tile - border_px(depth) + 2 * margin
    far = ((before + margin, tile + margin),) * 2
    image = np.pad(sample.image[:, z], ((0, 0), *far), mode="reflect")
    target, weights = (
        np.pad(a[z], ((margin, tile + margin),) * 2, mode=mode)  # type: ignore[call-overload]
        for a, mode in ((sample.target, "reflect"), (sample.weights, "constant"))
    )
    cut = np.s_[y0 : y0 + inner, x0 : x0 + inner]
    return image[:, y0 : y0 + tile + 2 * margin, x0 : x0 + tile + 2 * margin], target[cut], weights[cut]


def _put_tiles(root: zarr.Group, samples: Sequence[Sample], tile: int, depth: int, margin: int) -> None:
    output = tile - border_px(depth)
    places = [
        (k, z, y0, x0)
        for k, s in enumerate(samples)
        for z in range(s.target.shape[0])
        for y0 in range(0, s.target.shape[1], output)
        for x0 in range(0, s.target.shape[2], output)
    ]
    names = [f"cells{k}" for k in range(len(samples))]
    geometry = {
        "tile": tile,
        "output": output,
        "margin": margin,
        "depth": depth,
        "names": names,
        "intensity_rule": "auto",
    }
    root.create_group("tiles", attributes={"unetprep": geometry})
    cuts = [_cut(samples[k], z, y0, x0, tile, depth, margin) for k, z, y0, x0 in places]
    sources = {"image": "image", "target": "labels/target/target", "weights": "weights"}
    dims = (("tile", "c", "y", "x"), ("tile", "y_out", "x_out"), ("tile", "y_out", "x_out"))
    for name, arrays, dim in zip(sources, zip(*cuts, strict=True), dims, strict=True):
        inputs = {f"images/{n}/{sources[name]}": f"made:images/{n}/{sources[name]}" for n in names}
        _put(root, f"tiles/{name}", np.stack(arrays), dim, _attributes(f"tiles/{name}", "tiles", inputs))
    index = np.array(places, np.int32)
    share = np.array([target.mean() for _, target, _ in cuts], np.float32)
    columns: dict[str, NDArray[Any]] = {
        **{name: index[:, k] for k, name in enumerate(("image_index", "z", "y0", "x0"))},
        "split": np.array([SPLITS.index(samples[k].split) for k, *_ in places], np.uint8),
        "foreground": share,
        "density": 0.1 + 0.9 * share,
        "intensity_low": np.zeros(len(places), np.float32),
        "intensity_high": np.full(len(places), 255, np.float32),
    }
    for name, values in columns.items():
        _put(root, f"tiles/{name}", values, ["tile"], _attributes(f"tiles/{name}", "tiles", {}))


def build_store(
    path: Path, samples: Sequence[Sample], tile: int = 60, depth: int = 2, margin: int = 8, num_fields: int = 5
) -> Path:
    """A whole store at `path`: images, weights, fields (none with `num_fields` 0) and tiles."""
    root = zarr.open_group(path, mode="w", zarr_format=3)
    root.attrs["unetprep"] = {"format_version": 2, "software": "the tests"}
    _put_images(root, samples)
    if num_fields:
        grids = np.random.default_rng(0).normal(0, 2, (num_fields, 2, 3, 3)).astype(np.float32)
        attributes = _attributes("fields/grids", "deform", {}, interpolation="cubic-bspline")
        _put(root, "fields/grids", grids, ("field", "axis", "gy", "gx"), attributes)
    _put_tiles(root, samples, tile, depth, margin)
    return path


@pytest.fixture(scope="session")
def default_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training images and one for validation; not to be written to."""
    samples = [draw_cells(50, 0), draw_cells(37, 1), draw_cells(40, 2, "val")]
    return build_store(tmp_path_factory.mktemp("default") / "ds.zarr", samples)


@pytest.fixture
def make_store(tmp_path: Path, default_store: Path) -> Callable[..., Path]:
    """Build a store of the given samples (default: a copy of the one above, without fields at `num_fields` 0)."""

    def make(samples: Sequence[Sample] | None = None, num_fields: int = 5) -> Path:
        store = tmp_path / "ds.zarr"
        if samples is not None:
            return build_store(store, samples, num_fields=num_fields)
        shutil.copytree(default_store, store)
        if num_fields == 0:
            shutil.rmtree(store / "fields")
        return store

    return make


@pytest.fixture
def cells() -> Callable[..., Sample]:
    """Draw a synthetic sample: `cells(side, seed, split)`."""
    return draw_cells
