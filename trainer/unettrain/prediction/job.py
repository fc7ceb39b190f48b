"""One image to predict: opened and checked before anything is computed."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unetprep.errors import InvalidInput
from unetprep.host_memory import available_memory
from unetprep.sources import Source
from unetprep.sources.calibration import Calibration, read_calibration
from unetprep.sources.memory import PICTURES_KEPT, kept_bytes, reading_bytes
from unettrain.data.intensity import ArrayLike, Scaling, TrainingImages, rows_at_once, scaling_of
from unettrain.data.opening import stored_intensity
from unettrain.data.stacked_images import StackedImage
from unettrain.errors import Failure, UnettrainError
from unettrain.model import UNet
from unettrain.prediction.averaging import ScoreTask
from unettrain.prediction.fingerprints import Digested
from unettrain.prediction.image import check_image
from unettrain.prediction.layout import Layout
from unettrain.prediction.panels import PanelPlan
from unettrain.prediction.params import PredictParams
from unettrain.prediction.pixel_size import Resizing, resizing_of
from unettrain.prediction.resampling import Resampled
from unettrain.prediction.source_pixels import Pixels
from unettrain.prediction.targets import Targets


@dataclass(frozen=True)
class Scan:
    """What reading an image once has shown: its scaling, and the digest of its pixels."""

    scaling: Scaling
    digest: str


@dataclass(frozen=True)
class Job:
    """An image, a network, and the files to write. `path` is None for an array in memory."""

    path: str | None
    source: Source
    targets: Targets
    model: UNet
    trained: TrainingImages
    params: PredictParams

    @cached_property
    def pixels(self) -> Pixels:
        """The image."""
        return Pixels(self.source)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The pixel size that the image states."""
        return read_calibration(self.source.stack if isinstance(self.source, StackedImage) else self.source)

    @cached_property
    def resizing(self) -> Resizing:
        """The size at which the image is predicted."""
        size = self.pixels.shape[2], self.pixels.shape[3]
        return resizing_of(self.trained.pixel_um, self.calibration, size, self.params.pixel_size, self.source.path)

    @cached_property
    def seen(self) -> ArrayLike:
        """The image as the network sees it, at the pixel size of the training if it is resampled."""
        return Resampled(self.pixels, self.resizing.size) if self.resizing.size else self.pixels

    @cached_property
    def scan(self) -> Scan:
        """Reads the image once. Raises InvalidInput for values that are not finite, and an intensity that is none."""
        digested = Digested(self.pixels)
        recorded = stored_intensity(self.path) if self.path else None
        try:
            scaling = scaling_of(digested, self.trained, self.params.intensity, recorded)
        except UnettrainError as error:
            raise InvalidInput(f"{self.source.path}: {error.problem}", allowed=error.allowed, hint=error.hint) from None
        return Scan(scaling, digested.digest)

    def task(self, intensity: tuple[float, float] | None = None, *, is_whole: bool = False) -> ScoreTask:
        """What is to be predicted, with the scaling of the image or, to look at the work alone, any `intensity`."""
        p, limits = self.params, intensity or self.scan.scaling.range
        return ScoreTask(self.model, self.seen, limits, p.tta, p.amp, p.tile_px, p.batch, is_whole=is_whole)

    def layout(self, *, is_labels: bool, fingerprint: str = "", dtype: str = "float32") -> Layout:
        """The layout of labels, or of probabilities: of two classes only the second is written."""
        _, slices, height, width = self.pixels.shape
        num = 1 if is_labels or self.model.config.num_classes == 2 else self.model.config.num_classes
        return Layout((num, slices, height, width), num > 1, slices > 1, dtype, fingerprint)

    @cached_property
    def num_units(self) -> int:
        """Units of work."""
        return sum(plan.num_units for plan in self.task((0, 1)).plans())

    def check(self) -> None:
        """Check all but the pixels.

        Raises InvalidInput for an image that does not fit the network or the output, Failure for too little memory.
        """
        check_image(self.model, self.pixels.shape, self.source.path)
        _ = self.resizing
        slices, name = self.pixels.shape[1], self.targets.main.path.name
        if slices > 1 and (name.lower().endswith(".png") or "overlay" in self.targets.beside):
            what = f"--out {name}" if name.lower().endswith(".png") else "an overlay"
            raise InvalidInput(
                f"{self.source.path} has {slices} slices, and {what} is a picture of one",
                allowed="images of one slice; or .tif, .zarr or .npy",
            )
        self._check_memory()
        if self.params.check_seams:
            self.task((0, 1), is_whole=True).plans()

    def _check_memory(self) -> None:
        """Raise Failure if the parts of the image that are held at once do not fit into memory."""
        channels, _, height, width = self.source.shape
        plan = self.task((0, 1)).plans()[0]
        strip = (plan.rows, plan.input_width) if isinstance(plan, PanelPlan) else (height, width)
        boxes = [(channels, 1, min(h, height), min(w, width)) for h, w in (strip, (rows_at_once(width), width))]
        pixel_bytes = 2 * np.dtype(self.source.dtype).itemsize + 4
        reading = max(reading_bytes(self.source, box) + pixel_bytes * math.prod(box) for box in boxes)
        reading += kept_bytes(self.source) // PICTURES_KEPT
        available = available_memory()
        if available is not None and reading > available:
            raise Failure(
                f"predicting {self.source.path} takes {_gib(reading)} of memory to decode parts of the image",
                allowed=f"{_gib(available)}, which is available besides the network",
                hint="store the image as a tiled TIFF or in a Zarr store, or take a smaller --tile",
            )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
