"""Parameters of the elastic deformation fields."""

from dataclasses import dataclass
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.kernels.field_grid import INTERPOLATIONS, SPACING_PX, nodes_needed
from unetprep.parameter import Params, as_text, integers, parameter
from unetprep.params.tiles import LARGEST_TILE_PX

LARGEST_GRID = 1024
LARGEST_SIGMAS = 3  # displacements beyond so many standard deviations are rare


def _nodes(text: str) -> Any:
    """Nodes along y and x from "3,5", or from "3" for both."""
    found = integers(text)
    return found * 2 if isinstance(found, tuple) and len(found) == 1 else found


@dataclass(frozen=True)
class DeformParams(Params):
    """Random elastic deformations, as grids of displacements (section 3.1 of the paper)."""

    fields: int = parameter(1000, "How many fields.", least=1, most=10_000_000)
    grid: tuple[int, int] | None = parameter(
        None,
        "Nodes along each side of the grid, or along y and x, such as 3,5.  [default: 3; bspline-approx: as many as the"
        " tile needs]",
        parse=_nodes,
    )
    sigma_px: float = parameter(10.0, "Standard deviation of the displacement at a node, in pixels.", least=0)
    interpolation: str = parameter(
        "bspline",
        "bspline: the field goes through the nodes, which span the tile, as in the paper; bspline-approx: nodes 150"
        " pixels apart weigh cubic B-splines, as in the authors' later plugin, which moves half as far.",
        choices=INTERPOLATIONS,
    )
    seed: int = parameter(0, "Seed; field k depends on it and on k alone.", least=0)
    tile_px: int = parameter(572, "Side of the tiles that the fields are for.", least=2, most=LARGEST_TILE_PX)
    max_folding: float = parameter(
        1.0,
        "Draw a field again if it folds (Jacobian not over 0) at more than this share of the tile's pixels.",
        least=0,
        most=1,
    )
    dense: str = parameter(
        "none",
        "Also write the fields as one displacement a pixel, for other software: float32, or float16, rounded by up to"
        " 1/64 pixel where they move by 32 to 64.",
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
        self._check_grid()

    def _check_grid(self) -> None:
        grid: Any = self.grid
        is_pair = isinstance(grid, tuple) and len(grid) == 2 and all(isinstance(n, int) and n >= 2 for n in grid)
        if grid is not None and not is_pair:
            raise InvalidInput(
                f"grid is {as_text(grid)}", allowed="a number from 2, or two such as 3,5 (along y and x)"
            )
        least = nodes_needed(self.tile_px)
        if self.interpolation == "bspline-approx" and min(self.nodes()) < least:
            raise InvalidInput(
                f"grid is {as_text(grid)}, whose nodes, {SPACING_PX} pixels apart, do not cover a tile of"
                f" {self.tile_px}",
                allowed=f"at least {least} nodes along each side",
            )
        if max(self.nodes()) > self.tile_px:
            raise InvalidInput(
                f"grid is {as_text(grid)}: more nodes along a side than a tile of {self.tile_px} has pixels",
                allowed=f"2 to {min(self.tile_px, LARGEST_GRID)}",
            )
        if max(self.nodes()) > LARGEST_GRID:
            raise InvalidInput(f"grid is {as_text(grid)}", allowed=f"2 to {LARGEST_GRID} nodes along each side")

    def nodes(self) -> tuple[int, int]:
        """Nodes along y and x."""
        usual = 3 if self.interpolation == "bspline" else nodes_needed(self.tile_px)
        return self.grid or (usual, usual)
