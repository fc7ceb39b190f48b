"""Parameters of the tiles."""

from dataclasses import dataclass

from unetprep.errors import InvalidInput
from unetprep.kernels.tiling import is_legal_tile, legal_tiles_near, output_size
from unetprep.parameter import Params, parameter

LARGEST_TILE_PX = 2**13
LARGEST_MARGIN_PX = 2**12
CODECS = ("lz4", "zstd", "none")


@dataclass(frozen=True)
class TilesParams(Params):
    """Mirrored overlap tiles (section 2 of the paper)."""

    tile_px: int = parameter(
        572,
        "Side of the network's input, in pixels: 16 k + 60, from 188, at depth 4. The output is 184 smaller: a tile of"
        " 572 teaches 388 x 388 pixels, one of 316 132 x 132, one of 188 only 4 x 4, and costs as much as it is large.",
        least=1,
        most=LARGEST_TILE_PX,
    )
    depth: int = parameter(4, "How many times the network pools; it decides which tiles are legal.", least=1, most=10)
    margin_px: int = parameter(
        48,
        "Further pixels stored around a tile, so that augmentation moves real pixels in. 48 are enough for 1000 fields"
        " of sigma 10, and quarter turns need none; a rotation of 10 degrees needs 46 more with a tile of 572.",
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
        "Number of random crops of each training image, instead of tiles that cover it.  [default: none]",
        least=1,
        most=1_000_000,
    )
    seed: int = parameter(0, "Seed; random tile k of an image depends on it, the image's name and k alone.", least=0)
    index_only: bool = parameter(
        False,
        "Write the positions of the tiles alone, and copy no pixels; the training cuts the tiles from the images, as"
        " fast as long as these fit into its memory (unettrain fit --cache-mib).",
    )
    instances: bool = parameter(
        False, "Also store the cells around each tile, which unettrain fit --recompute-weights needs."
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
