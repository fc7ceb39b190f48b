"""From an image file to a prediction file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
import zarr
from numpy.typing import NDArray

from unetprep.sources import Source, open_source
from unettrain.checkpoint import Checkpoint, load_checkpoint
from unettrain.errors import Conflict, InvalidInput
from unettrain.intensity import Scaling, TrainingImages, scaling_of
from unettrain.layout import stored_intensity
from unettrain.predict import predict_image
from unettrain.training import pick_device

ENDINGS = (".tif", ".tiff", ".npy", ".zarr")


class Pixels:
    """A source seen as an array (c, z, y, x) that is read where it is cut."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape: tuple[int, ...] = source.shape
        self.dtype = np.dtype(source.dtype)

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[np.generic]:
        keys = key if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (4 - len(keys))
        box = tuple(
            slice(k, k + 1) if isinstance(k, int) else slice(*k.indices(n))
            for k, n in zip(keys, self.shape, strict=True)
        )
        block = self.source.read(box)
        return block[tuple(0 if isinstance(k, int) else slice(None) for k in keys)]


def predict_file(
    checkpoint: str,
    image: str,
    out: str,
    *,
    axes: str,
    tile: int | None,
    device: str,
    threads: int | None,
    overwrite: bool,
    intensity: str,
    on_progress: Callable[[int, int], None],
    on_scaling: Callable[[Scaling], None],
) -> tuple[int, ...]:
    """Predict one image and write the probabilities; returns their shape. What stands at `out` is kept till the end."""
    _check_out(out, overwrite)
    trained = find_checkpoint(checkpoint)
    if threads:
        torch.set_num_threads(threads)
    model = trained.build().to(pick_device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = Pixels(open_source(image, axes))
    images = TrainingImages.of(trained.intensity_rule, trained.image_dtype, trained.training_intensity)
    scaling = scaling_of(pixels, images, intensity, stored_intensity(image))
    on_scaling(scaling)
    classes = predict_image(model, pixels, scaling.range, tile, on_progress=on_progress)
    prediction, axes = (classes[1], "zyx") if len(classes) == 2 else (classes, "czyx")
    if pixels.shape[1] == 1:  # one slice: an image again, no stack
        prediction, axes = prediction.squeeze(-3), axes.replace("z", "")
    _write(out, prediction, axes)
    return tuple(prediction.shape)


def find_checkpoint(path: str) -> Checkpoint:
    """The checkpoint at a path; of a run, its best network, or the last one where none was validated yet."""
    directory = Path(path)
    if not directory.is_dir():
        return load_checkpoint(directory)
    found = next((directory / name for name in ("best.pt", "last.pt") if (directory / name).exists()), None)
    if found is None:
        raise InvalidInput(
            f"{path} holds no network", allowed="a run, or a .pt file", hint=f"unettrain fit STORE --run {path}"
        )
    return load_checkpoint(found)


def _check_out(out: str, overwrite: bool) -> None:
    path = Path(out)
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInput(f"--out is {out}", allowed=f"a name that ends in {', '.join(ENDINGS)}")
    if path.exists() and not overwrite:
        raise Conflict(f"{out} is there already", hint="--overwrite replaces it, or name another --out")


def _write(out: str, prediction: NDArray[np.float32], axes: str) -> None:
    """Write beside the place, then move there, so that no half of a file is ever found under the name."""
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix.lower()}")
    _remove(partial)
    try:
        if partial.suffix == ".npy":
            np.save(partial, prediction)
        elif partial.suffix == ".zarr":
            zarr.create_array(str(partial), data=prediction, dimension_names=tuple(axes))
        else:
            tifffile.imwrite(partial, prediction, metadata={"axes": axes.upper()}, compression="zlib")
        _remove(path)
        partial.rename(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
