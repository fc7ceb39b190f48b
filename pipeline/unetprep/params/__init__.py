"""Parameters of the import, of every stage and of the checks, with defaults, units, limits and help.

The command line makes its options from these classes, a recipe its sections, and a store records their values. A unit
stands at the end of a name (`sigma_px`) and is left off on the command line (`--sigma`). Standard library only.
"""

from unetprep.params.checks import LINT_RULES as LINT_RULES
from unetprep.params.checks import LintParams as LintParams
from unetprep.params.checks import VerifyParams as VerifyParams
from unetprep.params.cluster import SHELL_WORD as SHELL_WORD
from unetprep.params.cluster import ClusterParams as ClusterParams
from unetprep.params.cluster import SlurmParams as SlurmParams
from unetprep.params.deform import DeformParams as DeformParams
from unetprep.params.files import FileParams as FileParams
from unetprep.params.importing import ANNOTATIONS as ANNOTATIONS
from unetprep.params.importing import ImportParams as ImportParams
from unetprep.params.labels import DIMS as DIMS
from unetprep.params.labels import DIMS_HELP as DIMS_HELP
from unetprep.params.labels import num_neighbours as num_neighbours
from unetprep.params.layouts import LAYOUTS as LAYOUTS
from unetprep.params.layouts import LayoutParams as LayoutParams
from unetprep.params.pixel_size import LENGTH_UNITS as LENGTH_UNITS
from unetprep.params.tiles import TilesParams as TilesParams
from unetprep.params.units import format_bytes as format_bytes
from unetprep.params.units import parse_bytes as parse_bytes
from unetprep.params.units import parse_time as parse_time
from unetprep.params.weights import WeightsParams as WeightsParams
