"""Parameters of every stage, with defaults, units, limits and help. Standard library only.

The command line makes its options from these, a recipe its sections, and a store records them. A unit stands at the end
of a name (`sigma_px`) and is left off on the command line (`--sigma`).
"""

import re
from contextlib import suppress
from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.kernels.field_grid import INTERPOLATIONS, SPACING_PX, nodes_needed
from unetprep.kernels.intensity_rules import INTENSITY_RULES
from unetprep.kernels.tiling import is_legal_tile, legal_tiles_near, output_size
from unetprep.kernels.weight_formula import (
    DEFAULTS,
    LARGEST_ANISOTROPY,
    LARGEST_WEIGHT,
    Formula,
    are_class_weights,
    make_formula,
    resolve,
)
from unetprep.parameter import Params, parameter

LARGEST_REACH_PX = 2048  # of a weight map's Gaussians: the side of a shard
LARGEST_TILE_PX = 2**13
LARGEST_MARGIN_PX = 2**12
LARGEST_GRID = 1024
SMALLEST_PIXEL, LARGEST_PIXEL = 1e-12, 1e12  # in any unit
PLAIN = r"[\w.+@][\w.,+@:-]*", "letters, digits and . , _ + @ : -, not beginning with -"
# What becomes a word of a shell script: what a shell would take for more than text is refused, but for $NAME.
SHELL_WORD = r"(?:[\w./~+@:%=,-]|\$\w+|\$\{\w+\})*", "letters, digits, / . _ ~ + @ : % = , - and $NAME"
CODECS = ("lz4", "zstd", "none")
METRIC_PREFIXES = (
    "yotta",
    "zetta",
    "exa",
    "peta",
    "tera",
    "giga",
    "mega",
    "kilo",
    "hecto",
    "",
    "deci",
    "centi",
    "milli",
)
SMALL_PREFIXES = ("micro", "nano", "pico", "femto", "atto", "zepto", "yocto")
LENGTH_UNITS = (  # of OME-NGFF 0.5, section "axes"
    *(f"{prefix}meter" for prefix in (*METRIC_PREFIXES, *SMALL_PREFIXES)),
    *("angstrom", "inch", "foot", "yard", "mile", "parsec"),
)
CONNECTIVITIES = {"2": ("4", "8"), "3": ("6", "26")}  # dims: neighbours across sides alone, and across corners too
DIMS_HELP = "2: the slices of a stack are independent images; 3: a stack is one volume."
IGNORE_HELP = "Number of the pixels of which it is not known what they are; they are neither cell nor background."


def parse_spacing(text: str) -> tuple[float, ...] | None:
    """The pixel sizes that "z,y,x" or "y,x" means; None for an empty text."""
    if not text:
        return None
    try:
        sizes = tuple(map(float, text.split(",")))
    except ValueError:
        sizes = ()
    if len(sizes) not in (2, 3) or not all(SMALLEST_PIXEL <= size <= LARGEST_PIXEL for size in sizes):
        raise InvalidInput(
            f"spacing is {text!r}",
            allowed='two or three numbers over 0, "y,x" or "z,y,x", such as 4,1,1;'
            f" each {SMALLEST_PIXEL:g} to {LARGEST_PIXEL:g}",
        )
    if max(sizes) > LARGEST_ANISOTROPY * min(sizes):
        raise InvalidInput(
            f"spacing is {text!r}: pixels {max(sizes) / min(sizes):g} times as long along one axis as along another",
            allowed=f"at most {LARGEST_ANISOTROPY} times",
            hint="give all sizes in one unit",
        )
    return sizes


def check_labels(dims: str, connectivity: str, ignore_label: int | None) -> None:
    """Raise InvalidInput for a connectivity of other dims, and for an ignored background."""
    if connectivity not in ("auto", *CONNECTIVITIES[dims]):
        raise InvalidInput(
            f"connectivity is {connectivity} with dims {dims}",
            allowed=" or ".join(CONNECTIVITIES[dims]) + f" with dims {dims}",
        )
    if ignore_label == 0:
        raise InvalidInput("ignore-label is 0, which is background", allowed="any other number that the labels hold")


def num_neighbours(dims: str, connectivity: str, corners: bool = False) -> int:
    """The connectivity that was chosen; auto: across sides alone, or across corners too."""
    return int(CONNECTIVITIES[dims][corners] if connectivity == "auto" else connectivity)


@dataclass(frozen=True)
class ImportParams(Params):
    """How images and labels are read."""

    axes: str = parameter(
        "",
        "Axes of the image files, as yx, zyx, cyx, yxc or czyx (z: slices or a volume, c: channels).  [default: as the"
        " file says]",
    )
    dims: str = parameter("2", DIMS_HELP, choices=("2", "3"))
    instances: str = parameter(
        "auto",
        "ids: every number is one cell; components: every connected piece of the mask is one; auto: ids, refusing"
        " labels that look like a binary mask.",
        choices=("auto", "ids", "components"),
    )
    connectivity: str = parameter(
        "auto",
        "Neighbours that make pixels one piece: those that share a side (4, or 6 with --dims 3), or those at the"
        " corners too (8, or 26); auto: 4 or 6.",
        choices=("auto", *CONNECTIVITIES["2"], *CONNECTIVITIES["3"]),
    )
    ignore_label: int | None = parameter(None, IGNORE_HELP)
    intensity: str = parameter(
        "auto",
        "What becomes 0 and 1 for the network. dtype: the range of the integer type; minmax: the least and the greatest"
        " value of each image; percentile: percentiles 0.02 and 99.98 of each image, insensitive to hot pixels; auto:"
        " dtype for uint8, percentile for all else.",
        choices=INTENSITY_RULES,
    )
    val_fraction: float = parameter(
        0.0, "Share of the images kept for validation. Of a single image, a strip is cut off.", least=0
    )
    test_fraction: float = parameter(
        0.0, "Share of the images held out for the final scores, never trained on; likewise.", least=0
    )
    seed: int = parameter(0, "Decides which images are kept apart.", least=0)
    spacing: str = parameter(
        "",
        "Measured pixel size along z,y,x, or y,x with --dims 2, such as 0.235,0.15,0.15. It is stored with the images,"
        " and weights measures distances with it.  [default: unknown]",
    )
    unit: str = parameter(
        "", "Unit of --spacing, by its name in OME-NGFF, such as micrometer or nanometer.  [default: unknown]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labels(self.dims, self.connectivity, self.ignore_label)
        self.pixel_sizes()
        if self.unit and self.unit not in LENGTH_UNITS:
            raise InvalidInput(f"unit is {self.unit!r}", allowed=", ".join(LENGTH_UNITS))
        if self.unit and not self.spacing:
            raise InvalidInput(
                f"unit is {self.unit}, but no spacing is given", hint="give the pixel size with --spacing"
            )
        if self.val_fraction + self.test_fraction >= 1:
            raise InvalidInput(
                f"val-fraction {self.val_fraction} and test-fraction {self.test_fraction} leave nothing to train on",
                allowed="fractions whose sum is under 1",
            )

    def pixel_sizes(self) -> tuple[float | None, float, float] | None:
        """Pixel size along z, y and x; None where it is unknown, as along z where slices are independent."""
        sizes = parse_spacing(self.spacing)
        if sizes is None:
            return None
        if len(sizes) == 2 and self.dims == "3":
            raise InvalidInput(f"spacing is {self.spacing!r} with dims 3", allowed="three numbers, z,y,x")
        z = None if len(sizes) == 2 else sizes[0]
        return z, sizes[-2], sizes[-1]


LINT_RULES = ("empty", "binary", "float", "overflow", "interpolated", "split", "tiny", "touching")


@dataclass(frozen=True)
class LintParams(Params):
    """How labels are looked at in search of faults."""

    dims: str = parameter("2", DIMS_HELP, choices=("2", "3"))
    connectivity: str = parameter(
        "auto",
        "Neighbours that make pixels one piece: 4 or 8, or 6 or 26 with --dims 3; auto: 8 or 26, for what hangs"
        " together at a corner is hardly a fault.",
        choices=("auto", *CONNECTIVITIES["2"], *CONNECTIVITIES["3"]),
    )
    ignore_label: int | None = parameter(None, IGNORE_HELP)
    tiny_px: int | None = parameter(
        None, "Pieces of fewer pixels are found to be tiny.  [default: 10, or 30 with --dims 3]", least=0, most=10**12
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_labels(self.dims, self.connectivity, self.ignore_label)

    def least_px(self) -> int:
        """From how many pixels on a piece is not tiny."""
        return {"2": 10, "3": 30}[self.dims] if self.tiny_px is None else self.tiny_px


@dataclass(frozen=True)
class VerifyParams(Params):
    """How much of a store is computed once more."""

    samples: int = parameter(
        4,
        "Shards of each kind (target, weights, fields, tiles) that are computed once more and compared.",
        least=0,
        most=10**9,
    )
    all: bool = parameter(False, "Compute every shard once more, which takes longer than making the store.")
    seed: int = parameter(0, "Decides which shards are.", least=0)


@dataclass(frozen=True)
class WeightsParams(Params):
    """The weight map: the paper's Eq. 2, or the rule of its authors' later plugin."""

    formula: str = parameter(
        "paper",
        "paper: Eq. 2 of Ronneberger et al. 2015; falk2019: the authors' later plugin.",
        choices=tuple(DEFAULTS),
    )
    w0: float | None = parameter(None, "Height of the border term.  [default: 10; falk2019: 50]", least=0)
    sigma: float | None = parameter(
        None,
        "Width of the border term, in pixels (along x) or the unit of --spacing.  [default: 5; falk2019: 6]",
        least=1e-3,
    )
    background_weight: float | None = parameter(
        None, "falk2019: weight of the background far from all cells.  [default: 0.1]", least=0
    )
    rim_sigma: float | None = parameter(
        None, "falk2019: width of the rim of heavier background around every cell.  [default: 10]", least=1e-3
    )
    spacing: str = parameter(
        "",
        "Pixel size along each axis, such as 4,1,1 for z,y,x; lengths such as --sigma are then in its unit.  [default:"
        " that of the import in pixels along x, so that only its ratios count; 1 where it is unknown]",
    )
    class_weights: str = parameter(
        "auto",
        "w_c. balanced: from the number of pixels of each class in the whole data set; none: 1 for both; or two"
        " numbers, background,cell; auto: balanced, but with falk2019 that formula's own.",
    )
    border_on: str = parameter(
        "background",
        "Where the border term stands: on background alone, or on all pixels.",
        choices=("background", "all"),
    )
    separate: str = parameter(
        "raster",
        "Background between touching cells. raster: a line of one pixel, as in the authors' plugin; symmetric: one of"
        " two, one pixel of each cell; none.",
        choices=("raster", "symmetric", "none"),
    )
    engine: str = parameter(
        "numba", "What computes the distances. numba: fast; edt: one edt transform a cell.", choices=("numba", "edt")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            constants = resolve(self.formula, self._constants())
        except ValueError as error:
            raise InvalidInput(str(error).replace("_", "-"), hint="leave it off, or take --formula falk2019") from None
        for name, value in constants.items():
            object.__setattr__(self, name, value)
        if self.background_weight is not None and self.background_weight > 1:
            raise InvalidInput(f"background-weight is {self.background_weight}", allowed="0 to 1")
        if self.formula != "paper" and self.class_weights != "auto":
            raise InvalidInput(
                f"class-weights is {self.class_weights!r}, but the formula {self.formula} has its own",
                allowed="auto",
                hint="its weight of background is --background-weight, that of cells 1",
            )
        if self.w0 is not None and self.w0 > LARGEST_WEIGHT:
            raise InvalidInput(f"w0 is {self.w0:g}", allowed=f"0 to {LARGEST_WEIGHT:g}")
        self.fixed_class_weights()
        self._check_reach()

    def _check_reach(self) -> None:
        """Raise InvalidInput for Gaussians so wide that no block around a pixel would hold all that matters to it."""
        finest = min(self.spacings() or (1.0,))
        formula = self.made_formula()
        for name, gaussian in (("sigma", formula.border), ("rim-sigma", formula.rim)):
            if gaussian.reach > LARGEST_REACH_PX * finest:
                largest = gaussian.sigma * LARGEST_REACH_PX * finest / gaussian.reach
                raise InvalidInput(
                    f"{name} is {gaussian.sigma:g}: its term would reach {gaussian.reach / finest:.4g} pixels far",
                    allowed=f"up to about {largest:.3g}, for a reach of {LARGEST_REACH_PX} pixels",
                )

    def _constants(self) -> dict[str, float | None]:
        names = ("w0", "sigma", "background_weight", "rim_sigma")
        return {name: getattr(self, name) for name in names}

    def made_formula(self) -> Formula:
        """The formula with these constants."""
        return make_formula(self.formula, self._constants(), self.border_on == "all")

    def spacings(self) -> tuple[float, ...] | None:
        """The pixel size along each axis, None where it is not given."""
        return parse_spacing(self.spacing)

    def fixed_class_weights(self) -> tuple[float, float] | None:
        """The two class weights if they are given or the formula's, None if they come from the data."""
        if self.class_weights in ("auto", "balanced"):
            return self.made_formula().class_weights
        with suppress(ValueError):
            background, cell = map(float, ("1,1" if self.class_weights == "none" else self.class_weights).split(","))
            if are_class_weights((background, cell)) and max(background, cell) > 0:
                return background, cell
        raise InvalidInput(
            f"class-weights is {self.class_weights!r}",
            allowed="auto, balanced, none, or two numbers such as 1,2.5, not both 0;"
            f" each 0 or {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}",
        )


LARGEST_SIGMAS = 3  # displacements beyond so many standard deviations are rare


@dataclass(frozen=True)
class DeformParams(Params):
    """Random elastic deformations, as grids of displacements (section 3.1 of the paper)."""

    fields: int = parameter(1000, "How many fields.", least=1, most=10_000_000)
    grid: str = parameter(
        "",
        "Nodes along each side of the grid, or along y and x, such as 3,5.  [default: 3; bspline-approx: as many as the"
        " tile needs]",
    )
    sigma_px: float = parameter(10.0, "Standard deviation of the displacement at a node, in pixels.", least=0)
    interpolation: str = parameter(
        "bspline",
        "bspline: the field goes through the nodes, which span the tile, as in the paper; bspline-approx: nodes 150"
        " pixels apart weigh cubic B-splines, as in the authors' later plugin, which moves half as far.",
        choices=INTERPOLATIONS,
    )
    seed: int = parameter(0, "Field k depends on the seed and on k alone.", least=0)
    tile_px: int = parameter(
        572, "Side of the tiles: for what follows, and for bspline-approx.", least=2, most=LARGEST_TILE_PX
    )
    max_folding: float = parameter(
        1.0,
        "Draw a field again where more than this share of the tile's pixels is folded (its Jacobian is not over 0).",
        least=0,
        most=1,
    )
    dense: str = parameter(
        "none",
        "Write the fields expanded too, for other software: float32, or float16, rounded by up to 1/64 pixel where"
        " they move by 32 to 64.",
        choices=("none", "float16", "float32"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma_px == 0:
            raise InvalidInput("sigma is 0, which moves nothing", allowed="over 0", hint="or train with --no-deform")
        if self.sigma_px * LARGEST_SIGMAS > self.tile_px:
            raise InvalidInput(
                f"sigma is {self.sigma_px:g}: such fields move pixels by more than a tile of {self.tile_px}",
                allowed=f"up to {self.tile_px / LARGEST_SIGMAS:.4g}; the paper's is 10",
            )
        nodes = self.nodes()
        least = nodes_needed(self.tile_px)
        if self.interpolation == "bspline-approx" and min(nodes) < least:
            raise InvalidInput(
                f"grid is {self.grid}, whose nodes, {SPACING_PX} pixels apart, do not cover a tile of {self.tile_px}",
                allowed=f"at least {least} nodes along each side",
            )
        if max(nodes) > self.tile_px:
            raise InvalidInput(
                f"grid is {self.grid}: more nodes along a side than a tile of {self.tile_px} has pixels",
                allowed=f"2 to {min(self.tile_px, LARGEST_GRID)}",
            )
        if max(nodes) > LARGEST_GRID:
            raise InvalidInput(f"grid is {self.grid}", allowed=f"2 to {LARGEST_GRID} nodes along each side")

    def nodes(self) -> tuple[int, int]:
        """Nodes along y and x."""
        if not self.grid:
            usual = 3 if self.interpolation == "bspline" else nodes_needed(self.tile_px)
            return usual, usual
        try:
            numbers = tuple(map(int, str(self.grid).split(",")))
        except ValueError:
            numbers = ()
        if len(numbers) not in (1, 2) or min(numbers) < 2:
            raise InvalidInput(f"grid is {self.grid!r}", allowed="a number from 2, or two such as 3,5 (along y and x)")
        return numbers[0], numbers[-1]


@dataclass(frozen=True)
class TilesParams(Params):
    """Mirrored overlap tiles (section 2 of the paper)."""

    tile_px: int = parameter(
        572, "Side of the network's input, in pixels: 16 k + 60, from 188, at depth 4.", least=1, most=LARGEST_TILE_PX
    )
    depth: int = parameter(4, "How many times the network pools; it decides which tiles are legal.", least=1, most=10)
    margin_px: int = parameter(
        48,
        "Further pixels kept around a tile, so that augmentation moves real pixels in. 48 are enough for 1000 fields of"
        " sigma 10, and quarter turns need none; a rotation of 10 degrees needs 46 more with a tile of 572.",
        least=0,
        most=LARGEST_MARGIN_PX,
    )
    stride_px: int | None = parameter(
        None,
        "Pixels from one training tile to the next; fewer than the network's output let them overlap.  [default: the"
        " output, 388 of a tile of 572, so that every pixel is learned once an epoch]",
        least=1,
    )
    random: int | None = parameter(
        None,
        "Cut so many tiles at random places of each training image, instead of those that cover it.  [default: none]",
        least=1,
        most=1_000_000,
    )
    seed: int = parameter(0, "Random tile k of an image depends on the seed, the image's name and k alone.", least=0)
    index_only: bool = parameter(
        False,
        "Virtual tiles: write where they lie, and copy no pixels; the training cuts them out of the images, as fast as"
        " long as these fit into its memory (unettrain fit --cache-mib).",
    )
    instances: bool = parameter(
        False, "Keep the cells around each tile too, which unettrain fit --recompute-weights asks for."
    )
    codec: str = parameter(
        "lz4",
        "lz4: half the size of none, and read in half a millisecond a tile; none: read several times as fast, for fast"
        " disks; zstd: the smallest, and read several times as slowly as lz4.",
        choices=CODECS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_legal_tile(self.tile_px, self.depth):
            near = sorted(set(legal_tiles_near(self.tile_px, min(self.depth, 16))))
            raise InvalidInput(
                f"tile is {self.tile_px} pixels, which a network of depth {self.depth} cannot take",
                allowed=" or ".join(map(str, near)) + f", and so on in steps of {1 << self.depth}",
            )
        if self.stride_px is not None and self.random is not None:
            raise InvalidInput(f"stride is {self.stride_px} and random is {self.random}", allowed="one of the two")
        output_px = output_size(self.tile_px, self.depth)
        if self.stride_px is not None and self.stride_px > output_px:
            raise InvalidInput(
                f"stride is {self.stride_px}, so that pixels between the tiles would never be seen",
                allowed=f"1 to {output_px}, the network's output for a tile of {self.tile_px}",
            )


LARGEST_MEMORY = 2**50
LONGEST_TIME = 10 * 366 * 86400  # seconds
BYTES = {"B": 1} | {
    f"{letter}{kind}B": base ** (power + 1)
    for power, letter in enumerate("KMGT")
    for kind, base in (("", 1000), ("i", 1024))
}


def parse_bytes(text: str, name: str = "memory") -> int:
    """The number of bytes that "4GB" or "3.5GiB" means."""
    found = re.fullmatch(r"\s*(\d{1,18}\.?\d{0,18})\s*([KMGT]?i?B)\s*", text, re.ASCII)
    size = int(float(found[1]) * BYTES[found[2]]) if found and found[2] in BYTES else 0
    if not 1 <= size <= LARGEST_MEMORY:
        raise InvalidInput(
            f"{name} is {text[:80]!r}",
            allowed="a number and B, KB, MB, GB, TB, KiB, ...; such as 4GB, and up to 1024TiB",
        )
    return size


def parse_time(text: str, name: str = "walltime") -> int:
    """The number of seconds that a time limit of Slurm means: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS."""
    found = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", text.strip(), re.ASCII)
    if found is None:
        raise InvalidInput(f"{name} is {text[:80]!r}", allowed="HH:MM:SS or D-HH:MM:SS")
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    units = (3600, 60, 1) if days or len(parts) == 3 else (60, 1)
    seconds = int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
    if seconds > LONGEST_TIME:
        raise InvalidInput(f"{name} is {text!r}", allowed="up to ten years")
    return seconds


SHORTEST_WALLTIME = 120  # seconds; Slurm counts whole minutes, and a worker needs some of it to start and to retire


@dataclass(frozen=True)
class SlurmParams(Params):
    """The jobs that Slurm is asked for. Each runs one worker."""

    queue: str = parameter("", "Slurm: the partition.  [default: that of the cluster]", form=PLAIN)
    account: str = parameter("", "Slurm: the account that pays.  [default: your own]", form=PLAIN)
    cores: int = parameter(1, "Slurm: cores of a job; its worker has as many threads.", least=1, most=4096)
    walltime: str = parameter("01:00:00", "Slurm: time limit of a job, HH:MM:SS or D-HH:MM:SS.")
    min_workers: int | None = parameter(
        None, "Slurm: jobs kept even when there is little to do.  [default: as many as workers]", least=0
    )
    interface: str = parameter(
        "", "Slurm: the network interface that nodes and this machine share, such as ib0.", form=PLAIN
    )
    job_extra: tuple[str, ...] = parameter((), "Slurm: further options of sbatch, such as --qos=low.")
    log_folder: str = parameter("slurm-logs", "Slurm: folder for the output of the jobs, on a disk that nodes share.")
    local_folder: str = parameter(
        "", "Slurm: folder on a node for what a worker puts aside.  [default: the current]", form=SHELL_WORD
    )
    python: str = parameter("", "Slurm: the Python on the nodes.  [default: the one that runs this]", form=SHELL_WORD)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.walltime_s() < SHORTEST_WALLTIME:
            raise InvalidInput(f"walltime is {self.walltime!r}", allowed="two minutes or more")

    def walltime_s(self) -> int:
        """The time limit in seconds."""
        return parse_time(self.walltime)

    def lifetime_s(self) -> tuple[int, int]:
        """When a worker retires, and by how much that may vary, in seconds: before Slurm would kill it."""
        margin = min(300, self.walltime_s() // 10)
        return self.walltime_s() - 2 * margin, margin


@dataclass(frozen=True)
class ClusterParams(SlurmParams):
    """Where and with how much a job runs: section [cluster] of a recipe."""

    scheduler: str = parameter(
        "local",
        "local: threads of this process; processes: worker processes of this machine; slurm: jobs of a Slurm cluster;"
        " or the address of a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT.",
    )
    workers: int | None = parameter(
        None,
        "Threads (local), processes, or jobs (slurm) at most.  [default: one for each core; slurm: 1]",
        least=1,
        most=10_000,
    )
    memory: str = parameter("", "Memory of a worker process or of a Slurm job, such as 4GB.")
    wait: str = parameter("", "How long to wait for the first worker, HH:MM:SS.  [default: 00:01:00; slurm: 12:00:00]")
    tls_ca: str = parameter("", "tls: file of the authority's certificate.  [default: Dask's own configuration]")
    tls_cert: str = parameter("", "tls: file of the certificate.")
    tls_key: str = parameter("", "tls: file of its key.")


def format_bytes(size: float) -> str:
    """A number of bytes as people write it, and as `parse_bytes` reads it: whole below 10 KiB, MiB and so on."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 10 * 1024:
            return f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.1f}TiB"
