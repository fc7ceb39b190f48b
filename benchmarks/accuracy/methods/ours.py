"""This project: `unetprep weights`, `deform` and `tiles --depth 3 --tile 348`, then `unettrain fit --preset fast`.

As many steps as the time allows; the network of the last step is taken, and none is validated. As for the peers, the
time of a training is that of its steps.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.budget import clock_of
from benchmarks.accuracy.data import Splits
from benchmarks.accuracy.methods.trained import Trained
from unetprep.engine.importing import import_images
from unetprep.engine.run import Scheduler, run_stage
from unetprep.params import DeformParams, ImportParams, TilesParams, WeightsParams
from unetprep.sources.arrays import open_array
from unetprep.stages import STAGES
from unetprep.store import Store
from unettrain import FitConfig, Progress, fit, load_checkpoint, predict_image
from unettrain.config.presets import PRESETS
from unettrain.data.intensity import intensity_range

TILE_PX, DEPTH = 348, 3  # 348 -> 260: one tile covers most of the nuclei's images, nine a slice of ISBI 2012
GPU = {"base_channels": 64, "amp": "bf16"}  # not measured
PACE_STEPS = 16  # of the short training that measures how long a step takes


def train(
    splits: Splits,
    seed: int,
    seconds: float,
    build: Path,
    *,
    tile: int = TILE_PX,
    depth: int = DEPTH,
    weights: dict[str, Any] | None = None,
    device: str = "cpu",
    **options: Any,
) -> Trained:
    """Train with the options of `fit`; `tile`, `depth` and `weights` are those of the preparation."""
    store = make_store(splits, build, TilesParams(tile_px=tile, depth=depth), weights or {})
    preset = PRESETS["fast"] | ({} if device == "cpu" else GPU)
    asked = preset | {"device": device, "threads": 1, "seed": seed, "examples": 0, "checkpoint_minutes": 0.0, **options}
    run, pace = build / f"run-{time.time_ns()}", Clock(device)
    fit(store, run, config_of(asked, PACE_STEPS), on_progress=pace)
    steps, clock = max(PACE_STEPS, int(seconds / pace.step)), Clock(device)
    fit(store, run, config_of(asked, steps), overwrite=True, on_progress=clock)
    trained = load_checkpoint(run / "last.pt")
    shutil.rmtree(run)
    model = trained.build().to(device)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = image[None, None]
        probabilities = predict_image(model, pixels, intensity_range(pixels, "auto"), trained.tile_px)
        return 1 - np.asarray(probabilities[0, 0])

    about = {"tile_px": tile, "depth": depth}
    return Trained(predict, steps, clock.seconds, num_parameters(model), about)


def config_of(asked: dict[str, Any], steps: int) -> FitConfig:
    """The configuration of a training of so many steps."""
    warmup = min(asked.get("warmup_steps", 0), steps // 10)
    return FitConfig(**asked | {"steps": steps, "warmup_steps": warmup})


def num_parameters(model: Any) -> int:
    """Number of the trained values of a torch network."""
    return sum(p.numel() for p in model.parameters())


class Clock:
    """Seconds of a training: in total, and of a step (the median)."""

    def __init__(self, device: str) -> None:
        self._now = clock_of(device)
        self._start = self._last = self._now()
        self._steps: list[float] = []

    def __call__(self, progress: Progress) -> None:
        """Note the time of a step."""
        now = self._now()
        self._steps.append(now - self._last)
        self._last = now

    @property
    def seconds(self) -> float:
        """Time up to the end of the last step."""
        return self._last - self._start

    @property
    def step(self) -> float:
        """Time of a step."""
        return float(np.median(self._steps[2:]))


def make_store(splits: Splits, build: Path, tiles: TilesParams, weights: dict[str, Any]) -> str:
    """The store of the images that train; what is there already is used."""
    changes = "-".join(str(v) for v in weights.values()) or "standard"
    url = str(build / f"{splits.name}-{tiles.tile_px}-{tiles.depth}-{changes}.zarr")
    local = Scheduler()
    images = [open_array(s.name, s.image) for s in splits.train]
    labels = [open_array(s.name, s.labels) for s in splits.train]
    import_images(url, images, labels, ImportParams(instances="ids", split="train"), local)
    stages: tuple[tuple[str, Any], ...] = (
        ("weights", WeightsParams(**weights)),
        ("deform", DeformParams()),
        ("tiles", tiles),
    )
    for name, params in stages:
        run_stage(Store.open(url), STAGES[name], params, local)
    return url
