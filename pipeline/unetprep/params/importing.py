"""Parameters of the import."""

from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.kernels.intensity_rules import INTENSITY_RULES
from unetprep.parameter import as_text, numbers, parameter
from unetprep.params.files import FileParams
from unetprep.params.labels import DIMS, DIMS_HELP, EVERY_CONNECTIVITY, IGNORE_HELP, check_labels
from unetprep.params.pixel_size import LENGTH_UNITS, check_spacing


@dataclass(frozen=True)
class ImportParams(FileParams):
    """How images and labels are read."""

    dims: int = parameter(2, DIMS_HELP, choices=DIMS)
    instances: str = parameter(
        "auto",
        "ids: every number is one cell; components: every connected component of the mask is one; auto: ids, refusing"
        " labels that look like a binary mask.",
        choices=("auto", "ids", "components"),
    )
    connectivity: str | int = parameter(
        "auto",
        "Neighbours that make pixels one component: those that share a side (4, or 6 with --dims 3), or also those that"
        " share a corner (8, or 26); auto: 4 or 6.",
        choices=EVERY_CONNECTIVITY,
    )
    ignore_label: int | None = parameter(None, IGNORE_HELP)
    intensity: str = parameter(
        "auto",
        "Which values become 0 and 1 for the network. dtype: the range of the integer type; minmax: the least and the"
        " greatest value of each image; percentile: percentiles 0.02 and 99.98 of each image, insensitive to hot"
        " pixels; auto: dtype for uint8, percentile for all other types.",
        choices=INTENSITY_RULES,
    )
    val_fraction: float = parameter(
        0.0, "Share of the images for validation. A single image is cut into strips.", least=0
    )
    test_fraction: float = parameter(
        0.0, "Share of the images for the final scores, never trained on. A single image is cut into strips.", least=0
    )
    seed: int = parameter(0, "Seed of the random choice of validation and test images.", least=0)
    spacing: tuple[float, ...] | None = parameter(
        None,
        "Measured pixel size along z,y,x, or y,x with --dims 2, such as 0.235,0.15,0.15. It is stored with the images,"
        " and weights measures distances with it.  [default: unknown]",
        parse=numbers,
    )
    unit: str = parameter(
        "", "Unit of --spacing, by its name in OME-NGFF, such as micrometer or nanometer.  [default: unknown]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labels(self.dims, self.connectivity, self.ignore_label)
        self._check_pixel_size()
        if self.val_fraction + self.test_fraction >= 1:
            raise InvalidInput(
                f"val-fraction {self.val_fraction} and test-fraction {self.test_fraction} leave nothing to train on",
                allowed="fractions whose sum is under 1",
            )

    def _check_pixel_size(self) -> None:
        if self.spacing is not None:
            check_spacing(self.spacing)
            if len(self.spacing) == 2 and self.dims == 3:
                raise InvalidInput(f"spacing is {as_text(self.spacing)} with dims 3", allowed="three numbers, z,y,x")
        if self.unit and self.unit not in LENGTH_UNITS:
            raise InvalidInput(f"unit is {self.unit!r}", allowed=", ".join(LENGTH_UNITS))
        if self.unit and not self.spacing:
            raise InvalidInput(
                f"unit is {self.unit}, but no spacing is given", hint="give the pixel size with --spacing"
            )

    def pixel_sizes(self) -> tuple[float | None, float, float] | None:
        """Pixel size along z, y and x; None where it is unknown, as along z where slices are independent."""
        if self.spacing is None:
            return None
        z = None if len(self.spacing) == 2 else self.spacing[0]
        return z, self.spacing[-2], self.spacing[-1]
