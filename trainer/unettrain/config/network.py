"""Shape of the network, and the sizes of its tiles.

An unpadded network ("valid", the paper) gives scores of the pixels with full context alone: 572 -> 388. A padded one
("same") gives scores of all pixels, of which those within `halo_px` of an edge of the tile have seen zeros beyond it:

    valid   |<-halo->|<-------- output -------->|<-halo->|      halo 92, tile 572, output 388
    same    |<------------------ output ---------------->|      halo 96, tile 576, output 576, of which 384 are used
"""

from dataclasses import dataclass

from unetprep.kernels.tiling import border_px, is_legal_tile, legal_tiles_near
from unetprep.parameter import parameter
from unettrain.config.base import TrainerParams

MOST_CHANNELS, MOST_CLASSES = 4096, 256  # a target is uint8
VARIANTS = ("paper", "release")
PADDINGS = ("valid", "same")
NORMALIZATIONS = ("none", "batch", "instance")
ALIGNMENT_PX = 2  # a same-padded tile that begins this much before an unpadded one pools the same groups of pixels


@dataclass(frozen=True)
class UNetConfig(TrainerParams):
    """Shape of the network. The defaults are the paper's: 23 convolutions, 31,030,658 parameters."""

    in_channels: int = parameter(1, "Channels of the image.", least=1, most=2**16)
    num_classes: int = parameter(2, "Channels of the output.", least=2, most=MOST_CLASSES)
    base_channels: int = parameter(
        64, "Channels of the first level; each level below has twice as many.", least=1, most=MOST_CHANNELS
    )
    depth: int = parameter(4, "Number of pooling steps.", least=1, most=16)
    variant: str = parameter("paper", "paper, or the authors' 2015 release.", choices=VARIANTS)
    dropout: float = parameter(0.5, "Fraction of activations dropped at the two deepest levels.", least=0, under=1)
    padding: str = parameter("valid", "valid, as in the paper; or same: zeros around each 3x3.", choices=PADDINGS)
    normalization: str = parameter("none", "none, as in the paper; batch or instance.", choices=NORMALIZATIONS)

    @property
    def pool_px(self) -> int:
        """Input pixels along one axis that are pooled into one pixel of the bottom level: 16 at depth 4."""
        return 1 << self.depth

    @property
    def border_px(self) -> int:
        """Difference between the sides of a tile and its output: 184 for an unpadded network of depth 4, else 0."""
        return border_px(self.depth) if self.padding == "valid" else 0

    @property
    def halo_px(self) -> int:
        """Context in pixels that an output needs on each side, for outputs that begin at multiples of `pool_px`.

        Unpadded: half of `border_px`, which the network itself cuts off. Padded: a multiple of `pool_px`, and whoever
        predicts must discard the scores of this many pixels along each edge of a tile (96 at depth 4).
        """
        half = border_px(self.depth) // 2
        return (
            half if self.padding == "valid" else -(-(half + ALIGNMENT_PX % self.pool_px) // self.pool_px) * self.pool_px
        )

    @property
    def is_local(self) -> bool:
        """Whether a score depends on its surroundings alone, so that tiled prediction has no seams.

        False with instance normalisation, which divides by the spread over the whole tile.
        """
        return self.normalization != "instance"

    def output_px(self, tile_px: int) -> int:
        """Side of the output for a legal tile: 388 for 572, unpadded at depth 4; the tile's own if padded."""
        return tile_px - self.border_px

    def used_px(self, tile_px: int) -> int:
        """Side of the part of the output that seamless prediction uses, a multiple of `pool_px`: 384 of 388.

        0 or less for a tile that is too small.
        """
        cut = 0 if self.padding == "valid" else 2 * self.halo_px
        return (self.output_px(tile_px) - cut) // self.pool_px * self.pool_px

    @property
    def least_tile_px(self) -> int:
        """The smallest legal tile of which seamless prediction uses anything: 204 at depth 4."""
        tile = self.legal_tiles_near(1)[0]
        while self.used_px(tile) <= 0:
            tile += self.pool_px
        return tile

    def is_legal_tile(self, tile_px: int) -> bool:
        """Whether the network can process a tile of this side without an odd side before pooling.

        Padded: multiples of `pool_px`, and at least two pixels at the bottom level, which normalisation needs.
        """
        if self.padding == "valid":
            return is_legal_tile(tile_px, self.depth)
        return tile_px >= 2 * self.pool_px and tile_px % self.pool_px == 0

    def legal_tiles_near(self, tile_px: int) -> tuple[int, int]:
        """The nearest legal tiles, (at most, at least) `tile_px`; both are the smallest one if that is larger."""
        if self.padding == "valid":
            return legal_tiles_near(tile_px, self.depth)
        below = max(2, tile_px // self.pool_px) * self.pool_px
        return below, below if below >= tile_px else below + self.pool_px
