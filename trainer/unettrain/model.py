"""The U-Net of Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), section 2 and Fig. 1. Unpadded: 572 -> 388.

Where the paper gives no details, the authors' 2015 release is followed: the order of the concatenation, [upsampled,
skip], and the position of dropout, after the last ReLU of the deepest level with a skip (before both pooling and skip)
and after the last ReLU of the bottom. `variant="release"` is that network throughout: its last up-convolution keeps the
number of channels, and a ReLU follows every up-convolution.

Beyond the paper, off by default: `padding="same"` pads each 3x3 convolution with zeros, so that the output has the side
of the input; `normalization` puts batch or instance normalisation between each 3x3 convolution and its ReLU.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unetprep.kernels.tiling import border_px
from unettrain.config import UNetConfig
from unettrain.config.network import ALIGNMENT_PX
from unettrain.errors import InvalidInput

# Keras' value. With torch's 1e-5 the gradient of a tile of a single gray value, amplified by 1 / sqrt(eps) at each of
# 18 layers, exceeds float32 at the paper's depth.
NORM_EPS = 1e-3


class UNet(nn.Module):
    """The network: image (b, c, tile, tile) float -> scores (logits) of every class (b, class, output, output).

    `UNetConfig` knows the legal sides of tiles, their outputs, and the context that a score needs (`halo_px`). The
    sizes in the comments are those of the paper's network; with `padding="same"` every level keeps its side. The
    initial weights depend on `seed` alone, and torch's global random state is not changed. Dropout is active in
    training mode only: call `eval()` before predicting. With `seed` None the parameters have shapes but no values
    (torch's meta device). Raises InvalidInput for an image with another number of channels, or of a size at which
    pooling would silently drop pixels.
    """

    def __init__(self, config: UNetConfig | None = None, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = [config.base_channels << level for level in range(config.depth + 1)]  # 64, 128, 256, 512, 1024
        skips = widths[:-1]
        ups = [widths[1], *skips[1:]] if config.variant == "release" else skips
        with torch.device("meta"):  # values come from initialize()
            self.down = nn.ModuleList(
                two_convolutions(c_in, c_out, config)
                for c_in, c_out in zip([config.in_channels, *skips[:-1]], skips, strict=True)
            )
            self.bottom = two_convolutions(widths[-2], widths[-1], config)
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, u, 2, stride=2) for w, u in zip(skips, ups, strict=True))
            self.merge = nn.ModuleList(two_convolutions(u + w, w, config) for w, u in zip(skips, ups, strict=True))
            self.head = nn.Conv2d(widths[0], config.num_classes, 1)
        if seed is not None:
            self.to_empty(device="cpu")
            self.initialize(seed)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the part of the image with full context; of all of it if the network is padded."""
        self._check(image)
        return self.unchecked(image)

    def unchecked(self, image: Tensor) -> Tensor:
        """`forward` without the check of channels and sides, for compilers, to which sides are symbols."""
        x = image  # (b, c, 572, 572)
        skips = []
        for level, convolve in enumerate(self.down):
            x = convolve(x)  # (b, 64, 568, 568); (b, 128, 280, 280); (b, 256, 136, 136); (b, 512, 64, 64)
            if level == self.config.depth - 1:
                x = F.dropout(x, self.config.dropout, self.training)
            skips.append(x)
            x = F.max_pool2d(x, 2)  # (b, 64, 284, 284) ... (b, 512, 32, 32)
        x = self.bottom(x)  # (b, 1024, 28, 28)
        x = F.dropout(x, self.config.dropout, self.training)
        for level in reversed(range(self.config.depth)):
            x = self.up[level](x)  # (b, 512, 56, 56) ... (b, 64, 392, 392)
            if self.config.variant == "release":
                x = F.relu(x)
            x = torch.cat(
                [x, centre_crop(skips[level], x.shape[2:])], dim=1
            )  # (b, 1024, 56, 56) ... (b, 128, 392, 392)
            x = self.merge[level](x)  # (b, 512, 52, 52) ... (b, 64, 388, 388)
        scores: Tensor = self.head(x)  # (b, class, 388, 388)
        return scores

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Gaussian weights of standard deviation sqrt(2 / N), biases 0 (section 3 of the paper; He et al. 2015).

        Normalisation begins with scale 1 and shift 0, and running statistics of mean 0 and variance 1.
        """
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                std = math.sqrt(2 / self._incoming(module))
                module.weight.copy_(torch.empty(module.weight.shape).normal_(0, std, generator=generator))
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
                module.reset_parameters()

    def _incoming(self, module: nn.Conv2d | nn.ConvTranspose2d) -> int:
        """N, the nodes that feed one output pixel: 9 c for a 3x3 convolution, c for a 2x2 up-convolution of stride 2.

        The release's filler divided the count of an up-convolution's weights by their first axis, which is 4 c_out.
        """
        if isinstance(module, nn.Conv2d):
            return module.in_channels * math.prod(module.kernel_size)
        return 4 * module.out_channels if self.config.variant == "release" else module.in_channels

    def _check(self, image: Tensor) -> None:
        channels = self.config.in_channels
        if image.ndim != 4 or image.shape[1] != channels:
            raise InvalidInput(
                f"an image of shape {tuple(image.shape)} does not fit this network",
                allowed=f"(batch, {channels}, y, x)",
            )
        for side in image.shape[2:]:
            check_side(side, self.config.depth, self.config.padding)


def check_side(side_px: int, depth: int, padding: str = "valid") -> None:
    """Raise InvalidInput, naming the nearest legal sizes, for a tile at which pooling would drop pixels."""
    config = UNetConfig(depth=depth, padding=padding)
    if not config.is_legal_tile(side_px):
        below, above = config.legal_tiles_near(side_px)
        padded = " with padding same" if padding == "same" else ""
        raise InvalidInput(
            f"a tile of {side_px} px does not fit a network of depth {depth}{padded}",
            allowed=f"{below} px, the smallest" if below == above else f"{below} or {above} px, the nearest",
        )


def tile_scores(network: Callable[[Tensor], Tensor], image: Tensor, config: UNetConfig) -> Tensor:
    """Scores (b, class, output, output) of the target of stored tiles (b, c, tile, tile): 388 x 388 of 572 x 572.

    A padded network is given the tile with a mirrored edge of 2 pixels, as its sides must be multiples of 2^depth, and
    its scores are cropped to the target. Each of them has its full context inside of the tile, so that this edge
    changes no score, and without normalisation the scores are those of the unpadded network of the same weights.
    `network` is the UNet, or whatever wraps it to compile it or to train it on several devices.
    """
    if config.padding == "valid":
        return network(image)
    sides = [side - border_px(config.depth) for side in image.shape[2:]]
    return centre_crop(network(F.pad(image, [ALIGNMENT_PX] * 4, mode="reflect")), sides)


def two_convolutions(c_in: int, c_out: int, config: UNetConfig) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by a ReLU. Without padding each side shrinks by 4 pixels."""
    return nn.Sequential(*convolution(c_in, c_out, config), *convolution(c_out, c_out, config))


def convolution(c_in: int, c_out: int, config: UNetConfig) -> list[nn.Module]:
    """A 3x3 convolution and its ReLU; with normalisation in between, whose shift takes the place of the bias."""
    padding = 1 if config.padding == "same" else 0
    if config.normalization == "none":
        return [nn.Conv2d(c_in, c_out, 3, padding=padding), nn.ReLU(inplace=True)]
    batch = config.normalization == "batch"
    norm = nn.BatchNorm2d(c_out, NORM_EPS) if batch else nn.InstanceNorm2d(c_out, NORM_EPS, affine=True)
    return [nn.Conv2d(c_in, c_out, 3, padding=padding, bias=False), norm, nn.ReLU(inplace=True)]


def centre_crop(features: Tensor, sides: Sequence[int]) -> Tensor:
    """The centre (b, c, *sides) of features (b, c, y, x)."""
    top, left = ((a - b) // 2 for a, b in zip(features.shape[2:], sides, strict=True))
    return features[:, :, top : top + sides[0], left : left + sides[1]]
