# %% [markdown]
# # 3 Weight maps: teaching a network to keep cells apart
#
# *Notebook 3 of 6. Twenty minutes to read, about a minute to run, no GPU. Notebook 1 builds the network that we train
# here.*
#
# A U-Net decides for every pixel: cell or background? Where two cells touch, a single wrong pixel joins them, and
# your count is off by one. The paper (Ronneberger, Fischer and Brox, 2015) answers with a **weight map**: an image
# that says how much each pixel counts in training.
#
# **You will know afterwards**
#
# - why a mask of the foreground cannot count cells, and how one line of background repairs that,
# - what a distance transform is, by computing one with nothing but subtraction and a minimum,
# - what $d_1$ and $d_2$ in the paper's formula are, and what the formula does with them,
# - what happens if you train without it: we train the same network twice and count,
# - which mistakes are made most often, and how to recognise each by a number.
#
# The first cell installs the package where it is missing, and does nothing else.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
from scipy import ndimage
from torch.nn.functional import cross_entropy

import unetprep
import unettrain

plt.rcParams.update({"image.cmap": "gray", "image.interpolation": "nearest", "axes.titlesize": 10, "figure.dpi": 90})
ORANGE, BLUE = "#E69F00", "#56B4E9"  # two colours that colour-blind readers can tell apart

unetprep.fetch("nuclei", "nuclei")
image = tifffile.imread("nuclei/img2d.tif").astype(np.float32)
labels = tifffile.imread("nuclei/mask2d.tif").astype(np.int32)
print(f"image {image.shape}; {len(np.unique(labels)) - 1} nuclei, each with a number of its own; 0 is background")

# %% [markdown]
# ## 1 A mask cannot count
#
# The labels give every nucleus a number. A U-Net of two classes does not learn numbers. It learns *inside* (1) or
# *outside* (0). So what is left of a cluster of touching nuclei if we keep only `labels > 0`?

# %%
clump = np.s_[386:450, 96:192]  # a part of the image: rows 386 to 449, columns 96 to 191


def outlines(axes, numbers, color):
    """Draw a line around every nucleus, also between two that touch."""
    for number in np.unique(numbers[numbers > 0]):
        axes.contour(numbers == number, [0.5], colors=color, linewidths=1)


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
left.imshow(image[clump])
left.set_title("image")
middle.imshow(image[clump])
outlines(middle, labels[clump], ORANGE)
middle.set_title("labels: one outline for each nucleus")
right.imshow(labels[clump] > 0)
right.set_title("labels > 0: nuclei have become blobs")
plt.show()

EIGHT = np.ones((3, 3))  # neighbours: the four sides and the four corners
print("nuclei in the labels:          ", len(np.unique(labels)) - 1)
print("separate pieces of labels > 0: ", ndimage.label(labels > 0, EIGHT)[1])

# %% [markdown]
# **What to look for.** In the middle, nuclei that touch still have an outline each. On the right their common borders
# are gone. In the whole image 125 nuclei became 102 pieces: nobody who learns from the right picture can know that
# there were 125.
#
# ## 2 A line of background
#
# The paper inserts background between touching cells: *"The separation border is computed using morphological
# operations"*. It says no more. The authors' later plugin has a simple rule: go through the pixels row by row. **If
# the neighbour to the left, or one of the three above, belongs to another cell, this pixel becomes background.** Only
# those four neighbours are asked, so of two pixels that face each other only one is given up, and the line is one
# pixel wide. Here is this rule, shifting the whole image instead of looping:

# %%
around = np.pad(labels, 1)  # a frame of background, so that every pixel has all neighbours
height, width = labels.shape
has_other_neighbour = np.zeros(labels.shape, bool)
for dy, dx in [(0, -1), (-1, -1), (-1, 0), (-1, 1)]:  # left, and the three above
    neighbour = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
    has_other_neighbour |= (neighbour > 0) & (neighbour != labels)
target = (labels > 0) & ~has_other_neighbour

print("pixels given up:            ", np.sum((labels > 0) & ~target))
print("separate pieces of the target:", ndimage.label(target, EIGHT)[1])
assert ndimage.label(target, EIGHT)[1] == 125
assert np.array_equal(target, unetprep.separate_instances(labels))
print("unetprep.separate_instances gives the same, at every pixel")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.imshow(labels[clump] > 0)
left.set_title("before: labels > 0")
picture = np.stack([target[clump]] * 3, axis=-1) * 0.85
picture[(labels > 0)[clump] & ~target[clump]] = (0.9, 0.62, 0)
right.imshow(picture)
right.set_title("target: what became background in orange")
plt.show()

# %% [markdown]
# **What to look for.** Every pair of touching nuclei has an orange line, and no nucleus has one where it touches
# nothing.
#
# The cost is small: 413 of 52,000 pixels of nuclei. But there lies the next problem. The pixels that matter most for
# the count are 0.16 percent of the image. A network can ignore every one of them, and still be right for 99.8 percent
# of all pixels. So these pixels must *count more*. How much more, and how far around? For that the paper measures
# distances.
#
# ## 3 A distance transform by hand
#
# The question is simple: **how far is each pixel from a given nucleus?** The answer is as simple: compute the
# distance to every pixel of the nucleus, and take the smallest. Pythagoras gives each distance. No library is needed,
# only patience, so we do it on the crop.

# %%
crop = labels[clump]
rows, columns = np.indices(crop.shape)


def distance_by_hand(inside):
    """Distance in pixels from every pixel to the nearest pixel that is inside."""
    smallest = np.full(inside.shape, np.inf)
    for y, x in zip(*np.nonzero(inside), strict=True):
        smallest = np.minimum(smallest, np.sqrt((rows - y) ** 2 + (columns - x) ** 2))
    return smallest


numbers, sizes = np.unique(crop[crop > 0], return_counts=True)
first, second = numbers[np.argsort(sizes)[::-1][:2]]  # the two largest in the crop
to_first, to_second = distance_by_hand(crop == first), distance_by_hand(crop == second)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
for ax, distance, number, name in [(axes[0], to_first, first, "one nucleus"), (axes[1], to_second, second, "another")]:
    shown = ax.imshow(distance, cmap="cividis", vmin=0, vmax=70)
    ax.contour(distance, [10, 20, 30, 40], colors="white", linewidths=0.7)
    outlines(ax, crop, "0.6")
    outlines(ax, np.where(crop == number, crop, 0), ORANGE)
    ax.set_title(f"distance to {name} (orange)")
figure.colorbar(shown, ax=axes, label="pixels")
plt.show()

# %% [markdown]
# **What to look for.** White lines at 10, 20, 30 and 40 pixels run around the orange outline like waves around a
# stone. Inside of the nucleus the distance is 0; the first pixel outside has distance 1.
#
# `scipy.ndimage.distance_transform_edt` computes the same in one pass. It is easy to call the wrong way round: it
# measures, for every pixel that is **not zero**, the distance to the nearest **zero**. So we hand it the *outside* of
# the nucleus.

# %%
by_scipy = ndimage.distance_transform_edt(crop != first)
print("largest difference from ours:", np.abs(by_scipy - to_first).max())
assert np.allclose(by_scipy, to_first)

# %% [markdown]
# > **If you come from OpenCV.** `cv2.distanceTransform(src, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)` is the same
# > transform, and has the same direction: non-zero pixels, distance to the nearest zero. Mind the last argument. With
# > a mask size of 3 or 5, which many examples use, distances are approximations.
#
# ## 4 The nearest and the second nearest
#
# Now one such distance for **each** of the 125 nuclei. At every pixel we keep the two smallest:
#
# - $d_1$: the distance to the nearest nucleus,
# - $d_2$: the distance to the **second nearest nucleus**, which is another nucleus, not another pixel of the first.

# %%
begun = time.process_time()
d1 = np.full(labels.shape, np.inf)
d2 = np.full(labels.shape, np.inf)
for number in np.unique(labels[labels > 0]):
    distance = ndimage.distance_transform_edt(labels != number)
    d2 = np.minimum(d2, np.maximum(d1, distance))  # the larger of the two is second, if nothing smaller was
    d1 = np.minimum(d1, distance)
seconds_by_hand = time.process_time() - begun

figure, axes = plt.subplots(1, 3, figsize=(13, 3), layout="constrained")
for ax, values, title in zip(
    axes, [d1, d2, d1 + d2], ["d1: to the nearest", "d2: to the second nearest", "d1 + d2"], strict=True
):
    shown = ax.imshow(values[clump], cmap="cividis", vmin=0, vmax=40)
    outlines(ax, crop, "white")
    ax.set_title(title)
figure.colorbar(shown, ax=axes, label="pixels")
plt.show()

# %% [markdown]
# **What to look for.** $d_1$ is dark around *every* nucleus. On its own it cannot tell a gap from an outer edge. The
# sum $d_1 + d_2$ is dark in the background **only where two nuclei are near**: it is the width of the gap, measured
# from one nucleus to the other. (Inside of a nucleus it is dark near a neighbour too. The weight map will ignore the
# inside.)
#
# ## 5 From a width to a weight
#
# Equation 2 of the paper makes a weight of it, which is large in narrow gaps and falls off softly:
#
# $$w(x) = w_c(x) + w_0 \cdot \exp\left(-\frac{(d_1(x) + d_2(x))^2}{2\sigma^2}\right)$$
#
# with $w_0 = 10$ and $\sigma$ about 5 pixels.
#
# Look at the second part, the *border term*, first. With nothing but the formula:

# %%
w0, sigma = 10, 5


def border_term(first_distance, second_distance):
    """The second part of Eq. 2."""
    return w0 * np.exp(-((first_distance + second_distance) ** 2) / (2 * sigma**2))


gap = np.linspace(0, 32, 200)
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
ax.plot(gap, border_term(gap, 0), color="black")
for pair in [(1, 1), (1, 2), (5, 5)]:
    value = border_term(*pair)
    ax.plot(sum(pair), value, "o", color=ORANGE)
    ax.annotate(f"d1 = {pair[0]}, d2 = {pair[1]}: {value:.4f}", (sum(pair), value), (9, 0), textcoords="offset points")
ax.set(
    xlabel="d1 + d2 in pixels", ylabel="border term", title="A narrow gap counts up to ten times, a wide one nothing"
)
plt.show()
assert np.allclose([border_term(1, 1), border_term(1, 2), border_term(5, 5)], [9.2312, 8.3527, 1.3534], atol=5e-5)

# %% [markdown]
# ## 6 Class balance: the first part
#
# $w_c$ is one number for background and one for cells. It compensates that one class has more pixels than the other.
# The paper gives no values. The usual choice: **each class gets the same total**. With $N$ pixels, of which $n_c$ are
# of class $c$, and two classes, that is $w_c = N / (2 n_c)$. The mean weight is then 1.

# %%
share = target.mean()
class_weights = (1 / (2 * (1 - share)), 1 / (2 * share))  # background, cell
print(f"cells are {share:.1%} of the pixels; weights: background {class_weights[0]:.3f}, cell {class_weights[1]:.3f}")
totals = np.sum(~target) * class_weights[0], np.sum(target) * class_weights[1]
print(f"total weight of the background {totals[0]:.0f}, of the cells {totals[1]:.0f}")

# %% [markdown]
# ## 7 The whole map
#
# Now add both parts. The paper leaves open whether the border term applies to the pixels of cells too. Its purpose is
# the background *between* cells, so we add it in the background only (the background of the target, which contains
# the separation line).

# %%
by_hand = np.where(target, class_weights[1], class_weights[0] + border_term(d1, d2))

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
left.imshow(image, vmax=np.percentile(image, 99.5))
left.set_title("image")
shown = right.imshow(by_hand, cmap="magma")
right.set_title("weight map")
figure.colorbar(shown, ax=right, label="weight")
plt.show()

# %% [markdown]
# **What to look for.** Bright lines in the map stand where the image has nuclei that touch or nearly touch, as in the
# clusters on the left. A nucleus that stands alone has no bright ring.
#
# Our fast function computes the same map. It does not make 125 transforms, but searches for the two nearest nuclei of
# each pixel, so its time does not grow with the number of cells.

# %%
unetprep.weight_map(labels)  # the first call loads compiled code
begun = time.process_time()
fast = unetprep.weight_map(labels, w0=10, sigma=5)
seconds = time.process_time() - begun
print(f"largest difference: {np.abs(fast - by_hand).max():.1e}, of weights up to {by_hand.max():.1f}")
print(f"by hand {seconds_by_hand:.2f} s, unetprep.weight_map {seconds:.4f} s: 1/{seconds_by_hand / seconds:.0f} of it")
assert np.allclose(fast, by_hand, atol=1e-5)

# %% [markdown]
# ## 8 Does it help? Train twice and count
#
# A claim about training needs an experiment. We train the same small network twice, **from the same initial weights,
# on the same tiles in the same order**. Only the map differs: once with $w_0 = 0$, which is class balance alone, and
# once with $w_0 = 10$.
#
# The lower half of the image trains, the upper half is held out. The network is the U-Net of notebook 1, only
# smaller: two pooling steps instead of four, and 8 channels instead of 64. It is unpadded, so a tile of 140 pixels
# gives scores for its inner 100. Notebook 5 explains the training loop line by line. What counts here is the line
# with `loss`: every pixel's error is **multiplied by its weight**.

# %%
torch.set_num_threads(1)
config = unettrain.UNetConfig(base_channels=8, depth=2, dropout=0)
TILE, STEPS = 140, 250
OUT, HALO = config.output_px(TILE), config.halo_px
scaled = np.clip(image / np.percentile(image, 99.8), 0, 1)
lower = np.s_[256:]
context = np.pad(scaled[lower], HALO, mode="reflect")  # mirrored context for tiles at the edge (notebook 4)


def turned(array, turns, mirrored):
    """A tile, turned by multiples of 90 degrees and perhaps mirrored, as a tensor with a batch axis."""
    array = np.rot90(array, turns)
    return torch.from_numpy(np.ascontiguousarray(array[:, ::-1] if mirrored else array))[None]


def train(weights):
    network = unettrain.UNet(config, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    random = np.random.default_rng(0)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / STEPS)
        y, x = random.integers(256 - OUT + 1), random.integers(512 - OUT + 1)
        how = random.integers(4), random.integers(2)
        part = np.s_[y : y + OUT, x : x + OUT]
        tile = turned(context[y : y + TILE, x : x + TILE], *how)[None]  # (1, 1, 140, 140)
        truth = turned(target[lower][part].astype(np.int64), *how)  # (1, 100, 100)
        weight = turned(weights[lower][part], *how)  # (1, 100, 100)
        loss = (weight * cross_entropy(network(tile), truth, reduction="none")).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    probabilities = unettrain.predict_image(network, scaled[None, None], (0, 1))  # (class, z, y, x)
    return probabilities[1, 0]


without = train(unetprep.weight_map(labels, w0=0))
with_map = train(unetprep.weight_map(labels, w0=10))

# %% [markdown]
# How do we count *merged* nuclei? Take the pixels with a probability over 0.5, and their connected pieces. A nucleus
# belongs to the piece that covers most of it. If two nuclei belong to the same piece, both are merged.

# %%


def merged(probability, half):
    """How many nuclei share their piece of the prediction with another one, and how many were found at all."""
    pieces, _ = ndimage.label(probability[half] > 0.5)
    owners = []
    for number in np.unique(labels[half][labels[half] > 0]):
        counts = np.bincount(pieces[labels[half] == number])
        if 2 * counts[0] < counts.sum():  # more than half of it was found
            owners.append(1 + np.argmax(counts[1:]))
    _, num_nuclei = np.unique(owners, return_counts=True)
    return int(num_nuclei[num_nuclei > 1].sum()), len(owners)


counts = {
    (name, half): merged(probability, rows_of)
    for name, probability in [("without", without), ("with", with_map)]
    for half, rows_of in [("trained on", np.s_[256:]), ("held out", np.s_[:256])]
}
for (name, half), (num_merged, num_found) in counts.items():
    print(f"{name:8} border term, {half:10} half: {num_merged:3} of {num_found} nuclei found are merged with another")
total = {name: sum(counts[name, half][0] for half in ("trained on", "held out")) for name in ("without", "with")}
print("both halves:", total)
assert total["with"] < total["without"]

# %%
held_out = np.s_[190:254, 30:126]  # a cluster of the upper half, which no training has seen
figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.1), layout="constrained")
axes[0].imshow(image[held_out])
axes[0].set_title("held-out image and true outlines")
for ax, probability, title in [
    (axes[1], without, "trained without the border term"),
    (axes[2], with_map, "trained with it"),
]:
    shown = ax.imshow(probability[held_out], cmap="cividis", vmin=0, vmax=1)
    ax.set_title(title)
for ax in axes:
    outlines(ax, labels[held_out], ORANGE)
figure.colorbar(shown, ax=axes[1:], label="probability of nucleus")
plt.show()

# %% [markdown]
# **What to look for.** Without the border term the network paints over the gaps: it loses almost nothing by that,
# since the few pixels there weigh no more than any others. With it, dark channels open between neighbours. They have
# a price: where it is in doubt, the network now bites into nuclei. It is the price that the paper pays on purpose,
# because a hole is easily filled, and a merged pair is a wrong count.
#
# Read the numbers as what they are: one image, one seed, seconds of training. They show the *direction* of the
# effect. How large it is on a real data set, over several seeds, is measured in `benchmarks/accuracy`, and notebook 5
# reads the results.

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for shift, name, color in [(0.18, "without", BLUE), (-0.18, "with", ORANGE)]:
    values = [counts[name, half][0] for half in ("held out", "trained on")]
    bars = ax.barh(np.arange(2) + shift, values, 0.34, color=color, label=f"{name} the border term")
    ax.bar_label(bars, padding=3)
ax.set_yticks([0, 1], ["held-out half", "half trained on"])
ax.set(xlabel="merged nuclei (fewer is better)", title="The same network, trained twice")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# > **If you come from Keras.** A weight map is the `sample_weight` of `model.fit(x, y, sample_weight=w)`, of shape
# > `(batch, y, x)` for targets of shape `(batch, y, x)` and the loss
# > `SparseCategoricalCrossentropy(from_logits=True)`. One difference matters: by default Keras divides the weighted
# > sum by the number of *pixels*, and the code above by the sum of the *weights*. So the same learning rate is not
# > the same step. `unettrain fit --normalizer pixels` is Keras' rule, `weights` that of the authors' later plugin.
#
# ## 9 Common mistakes, in numbers
#
# All of these run without an error, and give a map that looks reasonable at first sight. So compute a number: **the
# share of background pixels whose border term is over 1**.

# %%
background = ~target
inside_distance = ndimage.distance_transform_edt(labels > 0)  # the wrong way round: 0 in the whole background
terms = {
    "right": border_term(d1, d2),
    "distance to the background": border_term(inside_distance, inside_distance),
    "d2 is that of the same cell": border_term(d1, d1),
    "squared distances": border_term(d1**2, d2**2),
    "sigma in another unit": border_term(2 * d1, 2 * d2),  # images scaled to twice their size, sigma was not
}

lone = max(np.unique(labels[labels > 0]), key=lambda number: d2[labels == number].min())  # farthest from all others
beside = background & (ndimage.distance_transform_edt(labels != lone) == 1)  # the pixels next to that nucleus
narrow = background & (np.abs(d1 + d2 - 4) < 0.5)  # gaps that are about four pixels wide
print(f"{'':28}  share over 1   mean in gaps of 4 pixels   beside the loneliest nucleus")
for name, term in terms.items():
    print(f"{name:28} {np.mean(term[background] > 1):12.1%} {term[narrow].mean():20.2f} {term[beside].max():24.2f}")

assert np.all(terms["distance to the background"][labels == 0] == 10)
assert terms["right"][beside].max() < 0.01 < 9 < terms["d2 is that of the same cell"][beside].max()

# %%
figure, axes = plt.subplots(1, 5, figsize=(15, 2.4), layout="constrained")
for ax, (name, term) in zip(axes, terms.items(), strict=True):
    shown = ax.imshow(np.where(background, term, np.nan)[clump], cmap="magma", vmin=0, vmax=10)
    ax.set_facecolor("0.7")
    ax.set(title=name, xticks=[], yticks=[])
figure.colorbar(shown, ax=axes, label="border term")
plt.show()

# %% [markdown]
# **What to look for**, from left to right (nuclei are gray):
#
# 1. *Right*: bright in the gaps alone.
# 2. *Distance to the background*: `distance_transform_edt(labels > 0)` measures inside of cells, and is 0 in the
#    whole background. Every background pixel gets the full 10.
# 3. *$d_2$ of the same cell*: every nucleus gets a ring, also one that stands alone. A network learns from it to make
#    all nuclei smaller.
# 4. *Squared distances*: many fast transforms return the square. Without the root the term dies within two or three
#    pixels.
# 5. *$\sigma$ in another unit*: pixels for one and micrometers for the other, or images were scaled by 2 and $\sigma$
#    was not. The border has half its width.
#
# ## Exercises
#
# 1. What is the border term of an image with a single cell? Think first, then compute it with `unetprep.weight_map`.
# 2. Up to which width of a gap is the border term at least 1?
# 3. Our class weights come from one image. Why does `unetprep weights` count the pixels of **all** images of a data
#    set instead?
# 4. In a volume, slices are often farther apart than pixels. How would you change the distance? (Hint: `sampling` of
#    scipy's transform.)
# 5. Repeat the training of section 8 with `np.ones(labels.shape, np.float32)` as weights. Is class balance alone
#    better than nothing?
#
# <details><summary>Answers</summary>
#
# 1. Exactly 0: there is no second nearest cell, so $d_2$ is infinite. The cell below computes it.
# 2. $10 \exp(-g^2 / 50) = 1$ gives $g = 5 \sqrt{2 \ln 10} = 10.7$ pixels.
# 3. An image with one small cell would give that cell an enormous weight: with 100 of 262,144 pixels, over 1,300. And
#    the same pixel would weigh differently in two images for no reason of its own.
# 4. `distance_transform_edt(outside, sampling=(4, 1, 1))` for slices four times as far apart. Ours:
#    `unetprep.weight_map(volume, spacing=(4, 1, 1))`.
# 5. For the count usually not, often even worse: balance gives cells a larger weight than background, so in doubt the
#    network says *cell*, and doubt is greatest in the gaps. Balance helps against missing rare cells, the border term
#    against merging them.
#
# </details>

# %%
one_cell = np.where(labels == lone, labels, 0)
print(
    "exercise 1:",
    np.unique(unetprep.weight_map(one_cell, class_weights=(1, 1))),
    "with class weights of 1: the border term adds nothing",
)
print("exercise 2:", round(sigma * np.sqrt(2 * np.log(w0)), 1), "pixels")
assert np.all(unetprep.weight_map(one_cell, class_weights=(1, 1)) == 1)
