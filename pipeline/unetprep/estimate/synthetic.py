"""Estimate for images that do not exist yet, from synthetic cells of their shape."""

import tempfile
from dataclasses import replace
from math import prod

from unetprep.engine.scheduler import Scheduler
from unetprep.errors import InvalidInput
from unetprep.estimate.forecast import ArrayForecast, Forecast, StageForecast
from unetprep.estimate.forecaster import Forecaster
from unetprep.format.boxes import shard_counts
from unetprep.format.layout import TILES, pixel_chunks
from unetprep.params import ImportParams
from unetprep.sources.limits import check_shape
from unetprep.sources.synthetic import generated_pair
from unetprep.stages.splits import Part
from unetprep.stages.stacks import is_small
from unetprep.stages.table import STAGES

GENERATED = "the images are generated cells, which compress like noisy micrographs of cells; reading takes no time"
PX_A_CELL = 1300  # where the number of cells is not given
LARGEST_IMAGE_SHARDS = 2**18
LEAST_PX_A_CELL = 16
IMAGES_PLANNED, SHARDS_PLANNED = 50, 2**17  # of many images of one shape; the others are like them
STACKED_PLANNED = 20_000  # of images that are stored in stacks


def forecast_synthetic(
    shape: tuple[int, int, int, int],
    num_images: int,
    num_cells: int | None,
    dims: int,
    dtype: str,
    scheduler: Scheduler,
) -> Forecast:
    """Forecast an import and all stages, with default parameters, for images (c, z, y, x) of synthetic cells."""
    check_shape("the image of --shape", shape)
    image, labels = generated_pair(shape, num_cells or max(1, prod(shape[1:]) // PX_A_CELL), dims, dtype)
    if (num_cells or 0) * LEAST_PX_A_CELL > prod(shape[1:]):
        raise InvalidInput(
            f"cells is {num_cells}, in images of {prod(shape[1:])} pixels",
            allowed=f"up to one in {LEAST_PX_A_CELL} pixels, {prod(shape[1:]) // LEAST_PX_A_CELL}",
        )
    shards = prod(shard_counts(shape[1:], pixel_chunks(shape[1:], dims)[1]))
    if shards > LARGEST_IMAGE_SHARDS:
        raise InvalidInput(
            f"an image of shape {','.join(map(str, shape))} has {shards} shards",
            allowed=f"images of up to {LARGEST_IMAGE_SHARDS} shards",
            hint="plan for a part of it, and multiply",
        )
    most = STACKED_PLANNED if is_small(shape, dims) else IMAGES_PLANNED
    num_planned = min(num_images, most, max(1, SHARDS_PLANNED // shards))
    whole = tuple(slice(0, n) for n in shape)
    parts = [Part(f"image-{n:07}", image, labels, whole, "train") for n in range(num_planned)]
    with tempfile.TemporaryDirectory(prefix="unetprep-") as folder:
        forecaster = Forecaster(f"{folder}/ds.zarr", scheduler, create=True)
        forecaster.parts(parts, ImportParams(dims=dims))
        for stage in STAGES.values():
            forecaster.stage(stage, stage.params())
        found = forecaster.result()
    stages = tuple(_times(stage, num_images / num_planned, GENERATED) for stage in found.stages)
    return replace(found, store="", stages=stages)


def _times(stage: StageForecast, factor: float, guess: str) -> StageForecast:
    """The forecast for `factor` times as many images; deformation fields do not depend on them."""
    guesses = (*stage.guesses, guess)
    if factor == 1 or stage.stage == "deform":
        return replace(stage, guesses=guesses)
    counts = ("shards_total", "shards_there", "tasks", "files", "bytes", "metadata_bytes")
    more = {name: round(getattr(stage, name) * factor) for name in counts}
    arrays = tuple(_more(array, 1 if array.path.startswith(TILES) else factor, factor) for array in stage.arrays)
    return replace(stage, arrays=arrays, seconds=stage.seconds * factor, guesses=guesses, **more)


def _more(array: ArrayForecast, arrays: float, factor: float) -> ArrayForecast:
    counts = {name: round(getattr(array, name) * factor) for name in ("shards", "there", "bytes")}
    return replace(array, arrays=round(array.arrays * arrays), **counts)
