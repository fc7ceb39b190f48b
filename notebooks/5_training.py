# %% [markdown]
# # 5 Training and results: from the loss to a number that you may report
#
# *Notebook 5 of 6. Twenty minutes to read, about a minute to run, no GPU. Notebooks 1 to 4 explain the network,
# augmentation, weights and tiles that come together here.*
#
# A network has to be trained, and a training has to be judged. Here we do both by hand, so that no number is magic.
#
# **You will know afterwards**
#
# - the loss of the paper, computed by hand from scores to a single number, and its gradient,
# - gradient descent with momentum in three lines, and why 0.99 is a very large momentum,
# - a whole training loop, which visibly works in less than a minute,
# - how an image larger than a tile is predicted without seams,
# - how cells are made of probabilities, and why a threshold is not enough,
# - IoU and AP by hand, the metrics of the paper by name, and our results on real data.
#
# The first cell installs the package where it is missing, and does nothing else.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
from scipy import ndimage
from torch.nn.functional import cross_entropy, one_hot

import unetprep
import unettrain
from unettrain import metrics

plt.rcParams.update({"image.cmap": "gray", "image.interpolation": "nearest", "axes.titlesize": 10, "figure.dpi": 90})
ORANGE, BLUE = "#E69F00", "#56B4E9"  # two colours that colour-blind readers can tell apart
torch.set_num_threads(1)

unetprep.fetch("nuclei", "nuclei")
image = tifffile.imread("nuclei/img2d.tif").astype(np.float32)
labels = tifffile.imread("nuclei/mask2d.tif").astype(np.int32)
target = unetprep.separate_instances(labels).astype(np.int64)  # 1 in nuclei, 0 elsewhere (notebook 3)
weights = unetprep.weight_map(labels)
image = np.clip(image / np.percentile(image, 99.8), 0, 1)
held_out, trained_on = np.s_[:256], np.s_[256:]  # the upper half of the image is never trained on

# %% [markdown]
# ## 1 The loss by hand
#
# For every pixel the network gives two *scores*, $a_0$ for background and $a_1$ for nucleus. They may be any numbers.
# The **softmax** makes probabilities of them, $p_k = e^{a_k} / \sum_j e^{a_j}$, and the loss of a pixel is $-\log$ of
# the probability of its **true** class: 0 if the network is sure and right, large if it is sure and wrong. The paper
# multiplies by the weight $w(x)$ and adds up all pixels:
#
# $$E = -\sum_x w(x) \log p_{\ell(x)}(x)$$
#
# (The printed formula lacks the minus sign.) Two pixels are enough to follow every digit:

# %%
scores = torch.tensor([[2.0, -1.0], [0.5, 0.0]])  # (pixel, class)
truth = torch.tensor([0, 1])  # the first pixel is background, the second a nucleus
w = torch.tensor([1.0, 3.0])

probabilities = torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True)
losses = -torch.log(probabilities[torch.arange(2), truth])
print("probabilities", probabilities.tolist())
print("losses       ", losses.tolist(), " weighted sum", float((w * losses).sum()))
assert torch.allclose(losses, cross_entropy(scores, truth, reduction="none"))

# %% [markdown]
# Written like this it breaks for large scores: $e^{1000}$ is infinite, and $\infty / \infty$ is not a number. The
# cure is a line of algebra: $\log p_k = a_k - \log \sum_j e^{a_j}$, and subtracting the largest score from all of
# them changes nothing.

# %%


def log_softmax(scores):
    """Log of the softmax over axis 1, for scores of any size."""
    shifted = scores - scores.amax(1, keepdim=True)
    return shifted - shifted.exp().sum(1, keepdim=True).log()


def loss_by_hand(scores, target, weights):
    """Weighted cross-entropy, divided by sum(weights): scores (b, class, y, x), target and weights (b, y, x)."""
    log_p = log_softmax(scores).gather(1, target[:, None])[:, 0]  # that of the true class, (b, y, x)
    return -(weights * log_p).sum() / weights.sum()


large = torch.tensor([[1000.0, 0.0]])
print(
    "as printed:",
    (torch.exp(large) / torch.exp(large).sum(1))[0].tolist(),
    "  shifted:",
    log_softmax(large)[0].tolist(),
)

# %% [markdown]
# We divide by the sum of the weights, as the authors' later plugin does. Then the loss does not depend on the size of
# the tile, and neither does a good learning rate. As printed, a plain sum, it is 150,544 times the mean for tiles of
# 388 x 388 pixels, and learning rates must be that much smaller.
#
# Compare with ours on a real piece of the target, with random scores. And one fact of calculus is worth seeing once:
# the **gradient** of this loss is the difference of what was predicted and what is true, times the weight:
#
# $$\frac{\partial E}{\partial a_k(x)} = \frac{w(x)}{\sum w} (p_k(x) - t_k(x))$$
#
# where $t_k$ is 1 for the true class and 0 for the others.

# %%
part = np.s_[None, 192:256, 40:136]
target_part, weights_part = torch.from_numpy(target[part]), torch.from_numpy(weights[part])
scores = torch.randn(1, 2, 64, 96, generator=torch.Generator().manual_seed(0), requires_grad=True)

by_hand = loss_by_hand(scores, target_part, weights_part)
ours = unettrain.weighted_cross_entropy(scores, target_part, weights_part)
print(f"loss by hand {by_hand:.6f}, ours {ours:.6f}, difference {abs(by_hand - ours):.1e}")
assert torch.isclose(by_hand, ours)

ours.backward()
true_probabilities = one_hot(target_part, 2).movedim(-1, 1)
gradient_by_hand = weights_part[:, None] * (scores.softmax(1) - true_probabilities) / weights_part.sum()
print(f"gradient: largest difference {(gradient_by_hand - scores.grad).abs().max():.1e}")
assert torch.allclose(gradient_by_hand, scores.grad, atol=1e-9)

# %%
p = np.linspace(0.005, 1, 200)
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(p, -np.log(p), color="black")
ax.plot(0.5, np.log(2), "o", color=ORANGE)
ax.annotate("no idea: p = 0.5 gives ln 2 = 0.693", (0.5, np.log(2)), (8, 8), textcoords="offset points")
ax.set(xlabel="probability of the true class", ylabel="loss of the pixel", title="Being sure and wrong is expensive")
plt.show()

# %% [markdown]
# Remember 0.693. An untrained network of two classes should begin near it, and a training that stays there has
# learned nothing.
#
# ## 2 Momentum in three lines
#
# Gradient descent takes a step against the gradient $g$. In a long narrow valley that is slow: the gradient points
# across the valley, and steps go from wall to wall. **Momentum** remembers a velocity $v$: what points across
# cancels, what points along adds up.

# %%


def step_by_hand(values, velocities, gradients, rate, momentum):
    """One step of gradient descent with momentum; changes values and velocities in place."""
    for value, velocity, gradient in zip(values, velocities, gradients, strict=True):
        velocity.mul_(momentum).add_(gradient)  # v = m v + g
        value.sub_(rate * velocity)  # value = value - rate v


def descend(momentum, rate=0.019, steps=60):
    """The path down a valley that is 100 times as steep across as along."""
    at, velocity, path = torch.tensor([-9.0, 1.0]), torch.zeros(2), []
    for _ in range(steps):
        path.append(at.clone())
        step_by_hand([at], [velocity], [at * torch.tensor([1.0, 100.0])], rate, momentum)
    return torch.stack(path).numpy()


x, y = np.meshgrid(np.linspace(-10, 4, 100), np.linspace(-1.6, 1.6, 100))
figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.contour(x, y, x**2 / 2 + 50 * y**2, 12, colors="0.75", linewidths=0.8)
for momentum, color in [(0.0, BLUE), (0.8, ORANGE)]:
    path = descend(momentum)
    ax.plot(
        *path.T,
        ".-",
        color=color,
        label=f"momentum {momentum}: after 60 steps {np.hypot(*path[-1]):.2f} from the bottom",
    )
ax.plot(0, 0, "k+", markersize=12)
ax.legend(loc="upper right", fontsize=8)
ax.set(title="Down a narrow valley to the cross", xlabel="along", ylabel="across")
plt.show()
assert np.hypot(*descend(0.8)[-1]) < np.hypot(*descend(0.0)[-1])

# %% [markdown]
# If the gradient stays the same, the velocity grows to $g (1 + m + m^2 + \dots) = g / (1 - m)$. The paper's momentum
# of **0.99** therefore multiplies the learning rate by **100**, and averages over about the last 100 tiles. That is
# its purpose: the paper trains on *one large tile a step*, and a single tile is a poor sample. Whoever copies the
# 0.99 but not the small rate diverges.
#
# > **If you come from Keras.** `SGD(momentum=m)` has the velocity `v = m v - rate g`, then `value += v`. With a
# > constant rate that is the same path. If the rate changes, the two differ: in torch a new rate acts on the whole
# > velocity at once. The loss is `SparseCategoricalCrossentropy(from_logits=True)`, and the weight map its
# > `sample_weight`.
#
# ## 3 The training loop
#
# Everything is there. The network is the U-Net of notebook 1, kept small: two pooling steps and 8 channels, so that a
# CPU trains it in seconds. Each step cuts a random tile of the lower half (with mirrored context, notebook 4), turns
# and mirrors it at random (notebook 2), and takes one step with **our** three lines of momentum. Gradients are
# clipped to a norm of 1, so that a single odd tile cannot throw the network off.

# %%
config = unettrain.UNetConfig(base_channels=8, depth=2, dropout=0)
TILE, STEPS, RATE, MOMENTUM = 140, 220, 0.05, 0.9
OUT, HALO = config.output_px(TILE), config.halo_px
print(f"a tile of {TILE} x {TILE} gives scores of its inner {OUT} x {OUT}; halo {HALO}")
context = np.pad(image[trained_on], HALO, mode="reflect")


def turned(array, turns, mirrored):
    """A tile, turned by multiples of 90 degrees and perhaps mirrored, as a tensor with a batch axis."""
    array = np.rot90(array, turns)
    return torch.from_numpy(np.ascontiguousarray(array[:, ::-1] if mirrored else array))[None]


def random_tile(random):
    """Image (1, 1, 140, 140), target and weights (1, 100, 100) of a random place."""
    y, x = random.integers(256 - OUT + 1), random.integers(512 - OUT + 1)
    how = random.integers(4), random.integers(2)
    inner = np.s_[y : y + OUT, x : x + OUT]
    tile = turned(context[y : y + TILE, x : x + TILE], *how)[None]
    return tile, turned(target[trained_on][inner], *how), turned(weights[trained_on][inner], *how)


network = unettrain.UNet(config, seed=0)
before = unettrain.predict_image(network, image[None, None], (0, 1))[1, 0]  # probability of nucleus, (y, x)
values = list(network.parameters())
velocities = [torch.zeros_like(value) for value in values]
random = np.random.default_rng(0)
curve = []
for step in range(STEPS):
    tile, truth, weight = random_tile(random)
    loss = loss_by_hand(network(tile), truth, weight)
    gradients = torch.autograd.grad(loss, values)
    norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
    gradients = [gradient * min(1, 1 / (norm + 1e-6)) for gradient in gradients]
    with torch.no_grad():
        step_by_hand(values, velocities, gradients, RATE * (1 - step / STEPS), MOMENTUM)
    curve.append(loss.item())
after = unettrain.predict_image(network, image[None, None], (0, 1))[1, 0]
print(f"loss: first 10 steps {np.mean(curve[:10]):.3f}, last 50 steps {np.mean(curve[-50:]):.3f}")

# %% [markdown]
# Are our three lines really torch's optimizer? Take five steps with each, from the same weights, on the same tiles:

# %%


def five_steps(with_torch):
    copy = unettrain.UNet(config, seed=0)
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.01, momentum=0.9)
    velocities = [torch.zeros_like(value) for value in copy.parameters()]
    random = np.random.default_rng(1)
    for _ in range(5):
        tile, truth, weight = random_tile(random)
        optimizer.zero_grad()
        loss_by_hand(copy(tile), truth, weight).backward()
        if with_torch:
            optimizer.step()
        else:
            with torch.no_grad():
                step_by_hand(copy.parameters(), velocities, [value.grad for value in copy.parameters()], 0.01, 0.9)
    return torch.nn.utils.parameters_to_vector(copy.parameters()).detach()


difference = (five_steps(with_torch=True) - five_steps(with_torch=False)).abs().max()
print(f"largest difference of any weight: {difference:.1e}")
assert difference < 1e-5

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(curve, color="0.75", linewidth=0.8, label="each tile")
ax.plot(np.arange(19, STEPS), np.convolve(curve, np.ones(20) / 20, "valid"), color="black", label="mean of 20 tiles")
ax.axhline(np.log(2), color=ORANGE, linestyle="--", label="ln 2: no idea")
ax.set(xlabel="step", ylabel="weighted loss", ylim=(0, 1.2), title="The loss while training")
ax.legend()
plt.show()
assert np.mean(curve[-50:]) < 0.6 * np.log(2)

# %% [markdown]
# A falling loss is not yet a result. Look at the half that was **not** trained on:

# %%
window = np.s_[0:256, 0:256]
figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
axes[0].imshow(image[window])
axes[0].contour(labels[window] > 0, [0.5], colors=ORANGE, linewidths=0.8)
axes[0].set_title("held-out image, true outlines")
for ax, probability, title in [(axes[1], before, "before training"), (axes[2], after, f"after {STEPS} steps")]:
    shown = ax.imshow(probability[window], cmap="cividis", vmin=0, vmax=1)
    ax.set_title(title)
figure.colorbar(shown, ax=axes[1:], label="probability of nucleus")
plt.show()


def iou(first, second):
    """Intersection over union of two masks."""
    return (first & second).sum() / (first | second).sum()


iou_before = iou(before[held_out] > 0.5, labels[held_out] > 0)
iou_after = iou(after[held_out] > 0.5, labels[held_out] > 0)
print(f"IoU of the foreground, held-out half: before {iou_before:.3f}, after {iou_after:.3f}")
assert iou_after > 0.7
assert iou_after > iou_before + 0.1

# %% [markdown]
# **What to look for.** Before: about 0.5 everywhere, an honest *no idea*. After: nuclei at nearly 1, background at
# nearly 0, dark channels between neighbours, and dim nuclei as sure as others. This network has never seen this half
# of the image. And look for its faults too: some neighbours are still joined, and some outlines are frayed.
#
# ## 4 Prediction without seams
#
# The network saw tiles. How do we predict a whole image of any size? Tile by tile: mirror the image at its edges, cut
# overlapping inputs, put the outputs side by side. There is one trap. The network pools groups of 2 x 2 pixels,
# twice. Two tiles agree only if they form the **same groups**, so tiles must begin at multiples of 4 (of 16 for the
# paper's four poolings).

# %%


def tiled(step):
    """Probability of nucleus of the whole image, from tiles whose outputs begin at multiples of `step`."""
    padded = np.pad(image, ((HALO, HALO + TILE), (HALO, HALO + TILE)), mode="reflect")
    found = np.zeros((512 + TILE, 512 + TILE), np.float32)
    with torch.no_grad():
        for y in range(0, 512, step):
            for x in range(0, 512, step):
                tile = torch.from_numpy(padded[y : y + TILE, x : x + TILE])[None, None]
                found[y : y + step, x : x + step] = network(tile).softmax(1)[0, 1, :step, :step]
    return found[:512, :512]


aligned, shifted = tiled(100), tiled(98)
print(
    f"largest difference from unettrain.predict_image: steps of 100: {np.abs(aligned - after).max():.1e},"
    f" of 98: {np.abs(shifted - after).max():.2f}"
)
assert np.allclose(aligned, after, atol=1e-4)
assert np.abs(shifted - after).max() > 0.01

# %%
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
shown = ax.imshow(np.abs(shifted - after), cmap="magma", vmax=0.3)
figure.colorbar(shown, ax=ax, label="difference of probability")
for k in range(98, 512, 98):
    ax.axhline(k - 0.5, color=BLUE, linewidth=0.6)
    ax.axvline(k - 0.5, color=BLUE, linewidth=0.6)
ax.set_title("Tiles at multiples of 98 differ from the whole image")
plt.show()

# %% [markdown]
# **What to look for.** In tiles that begin at 98, 294 or 490 (no multiples of 4, as 196 is) outlines of nuclei
# differ, with a jump at the blue lines. With steps of 100 the tiled result *is* that of the whole image, except for
# rounding. `unettrain.predict_image` takes care of this, of the edges and of memory.
#
# ## 5 From probabilities to cells
#
# To count, every nucleus needs its own number. The simplest way: all pixels over 0.5, and their connected pieces. By
# hand that is a *flood fill*: take a pixel without a number, give a new number to it, to its neighbours, to their
# neighbours, until nothing is left.

# %%


def connected_pieces(mask):
    """Number the 4-connected pieces of a mask."""
    numbers, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if numbers[start]:
            continue
        count, todo = count + 1, [start]
        while todo:
            y, x = todo.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not numbers[y, x]:
                numbers[y, x] = count
                todo += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return numbers


probability = after[held_out]
pieces = connected_pieces(probability > 0.5)
assert np.array_equal(pieces, ndimage.label(probability > 0.5)[0])
print("pieces by hand:", pieces.max(), " by scipy.ndimage.label: the same")

# %% [markdown]
# Where the network left a bridge between two nuclei, they are one piece. A **watershed** cuts such bridges: take the
# distance to the background as a landscape of hills, one for each nucleus, and divide it in the valleys between them.
# `unettrain.separate_instances` does this, and merges hills whose valley is shallow, so that a nucleus with a bumpy
# outline is not cut in two.

# %%
components = unettrain.separate_instances(probability, unettrain.DecodingParams(instances="components"))
watershed = unettrain.separate_instances(probability)
true_cells = labels[held_out]


def outlines(ax, numbers, color):
    """Draw a line around every nucleus, also between two that touch."""
    for number in np.unique(numbers[numbers > 0]):
        ax.contour(numbers == number, [0.5], colors=color, linewidths=1)


cluster = np.s_[90:250, 10:160]
figure, axes = plt.subplots(1, 3, figsize=(13, 4.8), layout="constrained")
for ax, numbers, title in zip(
    axes, [true_cells, components, watershed], ["truth", "connected components", "watershed"], strict=True
):
    ax.imshow(image[held_out][cluster])
    outlines(ax, numbers[cluster], ORANGE)
    ax.set_title(f"{title}: {len(np.unique(numbers)) - 1} nuclei in the held-out half")
plt.show()

# %% [markdown]
# **What to look for.** Find two nuclei that share one outline in the middle, and see whether the right picture gives
# them an outline each. It does for some. Others have grown together so broadly that no shape tells them apart: that
# is what the weight map of notebook 3, more training and a larger network are for.
#
# ## 6 Metrics by hand
#
# **IoU** compares two masks: the pixels in both, divided by those in either. We used it above. It hardly notices two
# nuclei that were merged. **AP** (average precision) asks for cells. Match each true nucleus with a predicted one if
# their IoU is at least a threshold, say 0.5. Then
#
# $$\text{AP} = \frac{TP}{TP + FP + FN}$$
#
# with the matched (TP), the invented (FP) and the missed (FN). First a case that fits on a napkin: three true cells;
# the second and third are merged in the prediction.

# %%
truth_row = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 3, 3]])
found_row = np.array([[0, 5, 5, 5, 0, 6, 6, 6, 6, 6, 6]])


def ap_by_hand(true_cells, found_cells, threshold=0.5):
    """Give each true cell a partner that no other has. Over 0.5 there is at most one candidate; at exactly 0.5, two."""
    true_numbers, found_numbers = (np.unique(cells[cells > 0]) for cells in (true_cells, found_cells))
    ious = np.array([[iou(true_cells == t, found_cells == f) for f in found_numbers] for t in true_numbers])
    taken = set()
    for row in ious:
        free = [k for k in np.flatnonzero(row >= threshold) if k not in taken]
        taken.update(free[:1])
    tp = len(taken)
    return tp / (len(true_numbers) + len(found_numbers) - tp), ious  # fn = true - tp, fp = found - tp


ap, ious = ap_by_hand(truth_row, found_row)
print("IoU of true cells (rows) and found ones (columns):\n", ious.round(3))
print(f"AP by hand {ap:.3f}: two matches, one missed, none invented")
assert ap == 2 / 3 == metrics.average_precision(truth_row, found_row, [0.5])[0.5]

# %% [markdown]
# The merged object still matches cell 2, of which it covers most; cell 3 is missed. Now the held-out half:

# %%
thresholds = [0.5, 0.6, 0.7, 0.8, 0.9]
untrained = unettrain.separate_instances(before[held_out])
found = {"untrained": untrained, "components": components, "watershed": watershed}
aps = {name: metrics.average_precision(true_cells, cells, thresholds) for name, cells in found.items()}
for name in ("components", "watershed"):
    by_hand = ap_by_hand(true_cells, found[name])[0]
    print(f"AP at 0.5, {name:10}: by hand {by_hand:.4f}, unettrain.metrics {aps[name][0.5]:.4f}")
    assert np.isclose(by_hand, aps[name][0.5])
iou_ours = metrics.overlap(true_cells, probability > 0.5).iou
print(f"IoU of the foreground: by hand {iou_after:.4f}, unettrain.metrics {iou_ours:.4f}")
assert np.isclose(iou_after, iou_ours)
assert aps["watershed"][0.5] > aps["untrained"][0.5] + 0.2

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for (name, values), style, color in zip(aps.items(), [":", "--", "-"], ["0.5", BLUE, ORANGE], strict=True):
    ax.plot(thresholds, list(values.values()), "o" + style, color=color, label=name)
ax.set(xlabel="IoU that counts as found", ylabel="AP", ylim=(-0.03, 1), title="64 nuclei of the held-out half")
ax.legend()
plt.show()

# %% [markdown]
# **What to look for.** The watershed is above the components: it splits what was merged. All curves fall to the
# right, where a match must be nearly perfect.
#
# 64 nuclei are few: one nucleus is 0.015 of AP. And we held out half of *one* image. Say so when you report such a
# number.
#
# **The metrics of the paper.** Its first experiment is electron microscopy, where the "cells" are neurons and the
# question is whether their membranes are closed:
#
# | | asks | function |
# |---|---|---|
# | pixel error | how many pixels are right (1 - F score) | `metrics.pixel_error` |
# | Rand error | for two pixels: in one cell, or in two? | `metrics.rand_error` |
# | warping error | after bending outlines to fit: how many splits and mergers are left? | `metrics.warping_error` |
# | V_rand, V_info | the challenge's successors of these (since 2015) | `metrics.v_rand`, `metrics.v_info` |
#
# The guide [Metrics of the EM challenge](../docs/metrics.md) defines each; [the challenge's
# article](https://doi.org/10.3389/fnana.2015.00142) explains why they were chosen.
#
# ## 7 Results on real data
#
# `benchmarks/accuracy` trains this project, other packages, and variants with one change each, for the same time and
# with several seeds, on the nuclei of the 2018 Data Science Bowl and on the membranes of ISBI 2012. Its results are
# files of JSON, beside this notebook in a checkout. Read them, rather than believe a table in a document:

# %%


def results_folder():
    """The folder benchmarks/results of the checkout around this notebook, if there is one."""
    try:
        start = Path(__file__).parent  # run as a script
    except NameError:
        start = Path.cwd()  # run in Jupyter
    for folder in (start, *start.parents):
        if (folder / "benchmarks" / "accuracy").is_dir():
            return folder / "benchmarks" / "results"
    return None


def score_of(run, data):
    """The main score of a training: V_rand for membranes, AP at IoU 0.5 for nuclei."""
    if data == "isbi2012":
        return run["scores"]["challenge"]["v_rand"]["best"]
    return (run["scores"].get("instances") or run["scores"]["chosen"])["ap"]["0.50"]


folder = results_folder()
files = sorted(folder.glob("*.json")) if folder and folder.is_dir() else []
read_all = [json.loads(file.read_text()) for file in files]
results = [read for read in read_all if read.get("size", "smoke") != "smoke"]  # without those of the demo
if not results:
    print(
        "no results here: they are in benchmarks/results of a checkout, once `make nuclei isbi2012` has measured them"
    )
for read in results:
    name = "V_rand" if read["data"] == "isbi2012" else "AP at 0.5"
    budget = max(run["budget_seconds"] for run in read["runs"])
    print(f"\n{read['data']}, {budget:g} s of training each: {name} on held-out images: mean, and every seed")
    for variant, about in read["variants"].items():
        values = [score_of(run, read["data"]) for run in read["runs"] if run["variant"] == variant]
        if values:
            each = ", ".join(f"{value:.3f}" for value in values)
            print(f"  {variant:28} {np.mean(values):.3f}   ({each})   {about['about']}")

# %% [markdown]
# How to read such a table: the spread between the seeds of one row is chance. A difference between two rows that is
# smaller than that spread is no result.
#
# ## 8 The same with the commands
#
# All of this notebook, on your own images, with elastic deformation, validation, checkpoints, and a report:
#
# ```sh
# unettrain fit ds.zarr                                    # ds.zarr as in notebook 4; --preset small for a CPU
# unettrain predict runs/ds new-image.tif --out cells.tif
# unettrain evaluate cells.tif new-labels.tif
# unettrain report runs/ds
# ```
#
# ## Exercises
#
# 1. Why is the loss of an untrained network not exactly 0.693? When would it be?
# 2. Train with `MOMENTUM = 0.99` and the same `RATE`. What happens, and which rate repairs it?
# 3. A network says 0.51 in all nuclei and 0.49 everywhere else. What is its IoU? What is its loss? Which of the two
#    would you rather report?
# 4. Why is the threshold of 0.5 chosen *before* looking at the held-out half, and what would be wrong with picking
#    the best of ten?
# 5. In the napkin case, what would AP be if cells 2 and 3 were as large as each other?
#
# <details><summary>Answers</summary>
#
# 1. Its random weights give random scores, so it is sure of something at some pixels. If all weights of the last
#    layer are 0, both scores are equal, and the loss is exactly ln 2. The cell below does that.
# 2. The effective rate is ten times as large: $0.05 / (1 - 0.99) = 5$ instead of 0.5. Expect a loss that jumps, or
#    gets stuck at ln 2. A rate ten times smaller, 0.005, makes the same mean step, but needs more steps to get going.
# 3. IoU 1, a perfect mask. The loss is $-\ln 0.51 = 0.67$, as bad as an untrained network. IoU is what you want to
#    know; but such a network fails with the slightest change of the image.
# 4. The best of ten fits the noise of these 64 nuclei, and is too good on average. Choose on validation images, and
#    report on others.
# 5. Each would have an IoU of exactly 0.5 with the merged object. One of the two is matched: AP is still 2/3. Whoever
#    counts IoU *over* 0.5 instead of *at least* 0.5 gets 1 match, 2 missed, 1 invented: 1/4. Such ties do occur in
#    real images. When you compare the numbers of two papers, look for such details.
#
# </details>

# %%
blank = unettrain.UNet(config, seed=0)
torch.nn.init.zeros_(blank.head.weight)
with torch.no_grad():
    print("exercise 1:", loss_by_hand(blank(tile), truth, weight).item(), " ln 2 is", np.log(2))
equal_truth, equal_found = np.array([[1, 1, 0, 2, 2, 3, 3]]), np.array([[4, 4, 0, 6, 6, 6, 6]])
tie = ap_by_hand(equal_truth, equal_found)[0], metrics.average_precision(equal_truth, equal_found, [0.5])[0.5]
print(
    "exercise 5: by hand and ours", tie, " counting only IoU over 0.5:", ap_by_hand(equal_truth, equal_found, 0.501)[0]
)
