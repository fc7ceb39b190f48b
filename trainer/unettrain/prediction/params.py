"""Parameters of predictions. Imports neither torch nor numba."""

from dataclasses import dataclass

from unetprep.parameter import numbers, parameter
from unettrain.config import TrainerParams
from unettrain.errors import InvalidInput

ALSO = ("probabilities", "overlay", "table")
FORMATS = ("tif", "npy", "zarr", "png")
PIXEL_SIZE_RULES = ("check", "resample", "ignore")


@dataclass(frozen=True)
class PredictParams(TrainerParams):
    """How images are read and predicted; see `unettrain.predict_files`."""

    also: str = parameter(
        "",
        "With instances, further files beside --out, separated by commas: probabilities, NAME.probabilities.tif;"
        " overlay, the outlines of the instances over the image, NAME.overlay.png; table, a row for each instance,"
        " NAME.csv.",
    )
    tta: int = parameter(
        1,
        "Average over so many turned versions of the image: 4, flips; 7, rotations by multiples of 360/7 degrees,"
        " interpolated; 8, turns by 90 degrees and their mirror images. Takes as many times as long.",
        choices=(1, 4, 7, 8),
    )
    amp: str = parameter(
        "none", "none: compute in float32; bf16: in bfloat16, which changes the result.", choices=("none", "bf16")
    )
    axes: str = parameter("", "Axes of the image files, as for unetprep import.  [default: the file's]")
    level: int = parameter(0, "Level of a pyramid; 0 is the full resolution.", least=0)
    series: int | None = parameter(None, "Which image of a file with several.  [default: the only one]", least=0)
    split: str = parameter("", "Of a store, only the images of this split: train, val or test.")
    format: str = parameter("tif", "Format of the files in a folder --out.", choices=FORMATS)
    intensity: tuple[float, ...] | str | None = parameter(
        None,
        "Values that become 0 and 1, LOW,HIGH, or a rule as for unetprep import: auto, dtype, minmax, percentile."
        "  [default: as in the training]",
        parse=numbers,
    )
    pixel_size: str = parameter(
        "check",
        "For an image whose pixels are larger or smaller than those of the training by more than a factor of 1.5."
        " check: refuse it; resample: predict it at the pixel size of the training, and resample the prediction back;"
        " ignore: predict it as it is.",
        choices=PIXEL_SIZE_RULES,
    )
    tile_px: int | None = parameter(
        None,
        "Width in pixels of what the network computes at once; does not affect the result."
        "  [default: the whole width, if memory allows]",
        least=1,
    )
    batch: int | None = parameter(
        None,
        "Slices, or parts of a wide one, that are computed at once.  [default: 1; on a GPU as many as fit]",
        least=1,
    )
    device: str = parameter("auto", "auto (a GPU if there is one), cpu, cuda ...")
    threads: int | None = parameter(
        None, "Threads of the network on the CPU.  [default: all cores]", least=1, most=1024
    )
    check_seams: bool = parameter(
        False,
        "Compare with the prediction of each slice as one tile, and end with exit code 1, without an output, where"
        " probabilities differ by more than 1e-5. Refuses an image that is too large for that.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.files_beside) <= set(ALSO):
            raise InvalidInput(f"also is {self.also!r}", allowed=f"any of {', '.join(ALSO)}, separated by commas")
        if self.split not in ("", "train", "val", "test"):
            raise InvalidInput(f"split is {self.split!r}", allowed="train, val or test")
        if self.check_seams and self.amp != "none":
            raise InvalidInput(
                f"check-seams with amp {self.amp}, whose rounding is larger than any seam", allowed="--amp none"
            )

    @property
    def files_beside(self) -> tuple[str, ...]:
        """The names in `also`."""
        return tuple(dict.fromkeys(name.strip() for name in self.also.split(",") if name.strip()))
