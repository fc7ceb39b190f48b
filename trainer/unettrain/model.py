"""The U-Net of Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), section 2 and Fig. 1. Unpadded: 572 -> 388.

Where the paper gives no details, the authors' 2015 release is followed: the order of the concatenation, [upsampled,
skip], and the position of dropout, after the last ReLU of the deepest level with a skip (before both pooling and skip)
and after the last ReLU of the bottom. `variant="release"` is that network throughout: its last up-convolution keeps the
number of channels, and a ReLU follows every up-convolution.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unetprep.kernels.tiling import is_legal_tile, legal_tiles_near
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput


class UNet(nn.Module):
    """The network: image (b, c, tile, tile) float -> scores (logits) of every class (b, class, output, output).

    The initial weights depend on `seed` alone, and torch's global random state is not changed. Dropout is active in
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
                two_convolutions(c_in, c_out)
                for c_in, c_out in zip([config.in_channels, *skips[:-1]], skips, strict=True)
            )
            self.bottom = two_convolutions(widths[-2], widths[-1])
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, u, 2, stride=2) for w, u in zip(skips, ups, strict=True))
            self.merge = nn.ModuleList(two_convolutions(u + w, w) for w, u in zip(skips, ups, strict=True))
            self.head = nn.Conv2d(widths[0], config.num_classes, 1)
        if seed is not None:
            self.to_empty(device="cpu")
            self.initialize(seed)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the part of the image with full context."""
        self._check(image)
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
            x = torch.cat([x, centre_crop(skips[level], x)], dim=1)  # (b, 1024, 56, 56) ... (b, 128, 392, 392)
            x = self.merge[level](x)  # (b, 512, 52, 52) ... (b, 64, 388, 388)
        scores: Tensor = self.head(x)  # (b, class, 388, 388)
        return scores

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Gaussian weights of standard deviation sqrt(2 / N), biases 0 (section 3 of the paper; He et al. 2015)."""
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                std = math.sqrt(2 / self._incoming(module))
                module.weight.copy_(torch.empty(module.weight.shape).normal_(0, std, generator=generator))
                assert module.bias is not None
                module.bias.zero_()

    def _incoming(self, module: nn.Conv2d | nn.ConvTranspose2d) -> int:
        """N, the nodes that feed one output pixel: 9 c for a 3x3 convolution, c for a 2x2 up-convolution of stride 2.

        The release's filler divided the count of an up-convolution's weights by their first axis, which is 4 c_out.
        """
        if isinstance(module, nn.Conv2d):
            return module.in_channels * math.prod(module.kernel_size)
        return 4 * module.out_channels if self.config.variant == "release" else module.in_channels

    def _check(self, image: Tensor) -> None:
        channels, depth = self.config.in_channels, self.config.depth
        if image.ndim != 4 or image.shape[1] != channels:
            raise InvalidInput(
                f"an image of shape {tuple(image.shape)} does not fit this network",
                allowed=f"(batch, {channels}, y, x)",
            )
        for side in image.shape[2:]:
            check_side(side, depth)


def check_side(side_px: int, depth: int) -> None:
    """Raise InvalidInput, naming the nearest legal sizes, for a tile at which pooling would drop pixels."""
    if not is_legal_tile(side_px, depth):
        below, above = legal_tiles_near(side_px, depth)
        raise InvalidInput(
            f"a tile of {side_px} px does not fit a network of depth {depth}",
            allowed=f"{below} px, the smallest" if below == above else f"{below} or {above} px, the nearest",
        )


def two_convolutions(c_in: int, c_out: int) -> nn.Sequential:
    """Two 3x3 convolutions without padding, each followed by a ReLU. Each side shrinks by 4 pixels."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3), nn.ReLU(inplace=True), nn.Conv2d(c_out, c_out, 3), nn.ReLU(inplace=True)
    )


def centre_crop(skip: Tensor, like: Tensor) -> Tensor:
    """The centre of `skip` (b, c, y, x), cropped to the sides of `like`."""
    top, left = ((a - b) // 2 for a, b in zip(skip.shape[2:], like.shape[2:], strict=True))
    return skip[:, :, top : top + like.shape[2], left : left + like.shape[3]]
