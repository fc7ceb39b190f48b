"""Parameters of the import."""

from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.kernels.intensity_rules import INTENSITY_RULES
from unetprep.kernels.weight_formula import MOST_CLASSES
from unetprep.parameter import as_text, numbers, parameter
from unetprep.params.files import FileParams
from unetprep.params.labels import DIMS, DIMS_HELP, EVERY_CONNECTIVITY, IGNORE_HELP, check_labels
from unetprep.params.pixel_size import LENGTH_UNITS, check_spacing

SPLITS = ("train", "val", "test")
ANNOTATIONS = "annotations"  # instead of the path of a class table
PIECES = ("components", "pieces")  # instances that are connected: in the mask, or pixels of one value


@dataclass(frozen=True)
class ImportParams(FileParams):
    """How images and labels are read."""

    dims: int = parameter(2, DIMS_HELP, choices=DIMS)
    instances: str = parameter(
        "auto",
        "ids: every number is one cell; components: every connected component of the mask is one; pieces: every"
        " connected piece of one number is one, where numbers are used again but not for neighbours; auto: ids,"
        " refusing what is no set of cell numbers: a binary mask, classes, an image, and values that change gradually,"
        " as after interpolation or in JPEG files.",
        choices=("auto", "ids", *PIECES),
    )
    connectivity: str | int = parameter(
        "auto",
        "Neighbours that make pixels one component: those that share a side (4, or 6 with --dims 3), or also those that"
        " share a corner (8, or 26); auto: 4 or 6.",
        choices=EVERY_CONNECTIVITY,
    )
    ignore_label: int | None = parameter(None, IGNORE_HELP)
    label_threshold: int | None = parameter(
        None,
        "With --instances components: the mask is where labels are above this value, such as 127 for grey masks of 0 to"
        " 255.  [default: 0, refusing values that change gradually]",
        least=0,
    )
    num_classes: int | None = parameter(
        None,
        "The labels are classes, 0 (background) to one less than this number, not numbers of cells: every connected"
        " component of one class is one cell. With --class-table: the number of classes.  [default: cells have no"
        " classes]",
        least=2,
        most=MOST_CLASSES,
    )
    class_table: str = parameter(
        "",
        "CSV file with the class of every cell, 1, 2, ...: columns label and class, and image if there are several."
        f" {ANNOTATIONS}: the classes of the objects of --data, in the order of their names.",
    )
    intensity: str = parameter(
        "auto",
        "Which values become 0 and 1 for the network. dtype: the range of the integer type; minmax: the least and the"
        " greatest value of each image; percentile: percentiles 0.02 and 99.98 of each image, insensitive to hot"
        " pixels; auto: dtype for uint8, percentile for all other types.",
        choices=INTENSITY_RULES,
    )
    split: str | None = parameter(
        None,
        "Split of all these images, where a test or validation set has files of its own: import it by a command of its"
        " own.  [default: train, or as the data set and the fractions say]",
        choices=SPLITS,
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
        " and weights measures distances with it.  [default: as the files state]",
        parse=numbers,
    )
    unit: str = parameter(
        "",
        "Unit of --spacing, by its name in OME-NGFF, such as micrometer or nanometer.  [default: as the files state]",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labels(self.dims, self.connectivity, self.ignore_label)
        self._check_classes()
        self._check_pixel_size()
        if self.label_threshold is not None and self.instances != "components":
            raise InvalidInput(
                f"label-threshold is {self.label_threshold} with instances {self.instances}",
                allowed="a threshold with --instances components",
            )
        self._check_split()

    def _check_split(self) -> None:
        if self.split and (self.val_fraction or self.test_fraction):
            raise InvalidInput(
                f"split is {self.split}, with val-fraction {self.val_fraction} and test-fraction {self.test_fraction}",
                allowed="--split for all images of an import, or fractions",
                hint="import the test set by a command of its own: --split test",
            )
        if self.val_fraction + self.test_fraction >= 1:
            raise InvalidInput(
                f"val-fraction {self.val_fraction} and test-fraction {self.test_fraction} leave nothing to train on",
                allowed="fractions whose sum is under 1",
            )

    def _check_classes(self) -> None:
        if self.labels_are_classes and self.instances in ("ids", "pieces"):
            raise InvalidInput(
                f"instances is {self.instances} with num-classes {self.num_classes}, so that labels would be both"
                " numbers of cells and classes",
                allowed="--num-classes for labels that are classes, or --class-table for numbers of cells",
            )
        if self.class_table and self.instances in PIECES:
            raise InvalidInput(
                f"instances is {self.instances} with a class table, which lists the labels as they are in the files",
                allowed="--class-table with labels that number the cells",
            )

    @property
    def labels_are_classes(self) -> bool:
        """Whether the values of labels are classes instead of numbers of cells."""
        return self.num_classes is not None and not self.class_table

    @property
    def numbers_components(self) -> bool:
        """Whether every connected component of labels is a cell."""
        return self.instances in PIECES or self.labels_are_classes

    @property
    def by_value(self) -> bool:
        """Whether pixels of different values belong to different components."""
        return self.instances == "pieces" or self.labels_are_classes

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
