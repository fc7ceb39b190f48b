# %% [markdown]
# # 4 Data set: from a folder of images to tiles that a network can eat
#
# *Notebook 4 of 6. Twenty minutes to read, half a minute to run, no GPU. Notebook 3 explains the weight maps that
# appear here.*
#
# Most failed trainings failed before the training. A mask of another image, a test image that was also trained on, a
# tile whose context was cut off: nothing crashes, the loss even falls, and the result is wrong.
#
# **You will know afterwards**
#
# - how to pair images with labels so that a missing file cannot shift all others,
# - what broken labels look like, by breaking some,
# - how to split data so that the test is honest, and what *leakage* is, in pixels,
# - how tiles with mirrored context are cut, in three lines,
# - what a halo, a chunk and a shard are, and how all this lies on disk, in Zarr,
# - which gray value should become 0 and which 1.
#
# The first cell installs the package where it is missing, and does nothing else.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("unetprep") is None:  # as on Kaggle and Colab
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "unetprep[all]"], check=True)

# %%
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import zarr
from matplotlib.patches import Rectangle
from scipy import ndimage

import unetprep
import unettrain

plt.rcParams.update({"image.cmap": "gray", "image.interpolation": "nearest", "axes.titlesize": 10, "figure.dpi": 90})
ORANGE, BLUE = "#E69F00", "#56B4E9"  # two colours that colour-blind readers can tell apart

unetprep.fetch("nuclei", "nuclei")
image = tifffile.imread("nuclei/img2d.tif")
labels = tifffile.imread("nuclei/mask2d.tif")
print(
    f"image: {image.shape} {image.dtype}, values {image.min()} to {image.max()}; nuclei: {len(np.unique(labels)) - 1}"
)

# %% [markdown]
# One image is no data set. So we play microscope, and cut it into eight fields of view of 128 x 256 pixels. Each
# becomes a file of images and a file of labels with the same name. Your own data may look exactly like this folder.

# %%
shutil.rmtree("raw", ignore_errors=True)
Path("raw/images").mkdir(parents=True)
Path("raw/masks").mkdir()
fields = {}
for k in range(8):
    y, x = 128 * (k // 2), 256 * (k % 2)
    fields[f"field_{k + 1}"] = part = np.s_[y : y + 128, x : x + 256]
    tifffile.imwrite(f"raw/images/field_{k + 1}.tif", image[part])
    tifffile.imwrite(f"raw/masks/field_{k + 1}.tif", labels[part])
print(sorted(str(path) for path in Path("raw").glob("*/*.tif"))[::5])

# %% [markdown]
# ## 1 Pairing: by name, never by position
#
# The code that everybody writes first:
#
# ```python
# for image_path, mask_path in zip(sorted(images), sorted(masks)): ...
# ```
#
# It is right until one file is missing. Suppose that `field_3.tif` has no mask. Then `field_3` gets the mask of
# `field_4`, and so on to the end, and `zip` stops silently at the shorter list. Pair **by name** instead, with a
# dictionary, and say what has no partner:

# %%


def pair_by_name(images, masks):
    """Pairs of paths with the same name, and the names that have no partner."""
    by_name = [{path.stem: path for path in paths} for paths in (images, masks)]
    common = sorted(by_name[0].keys() & by_name[1].keys())
    alone = sorted(by_name[0].keys() ^ by_name[1].keys())
    return [(by_name[0][name], by_name[1][name]) for name in common], alone


images = sorted(Path("raw/images").glob("*.tif"))
masks = [path for path in sorted(Path("raw/masks").glob("*.tif")) if path.stem != "field_3"]  # as if it were missing
by_position = list(zip(images, masks, strict=False))
by_name, alone = pair_by_name(images, masks)
print("without a partner:", alone)


def contrast(pairs):
    """For each pair: how much brighter the image is inside of the mask than outside."""
    found = []
    for image_path, mask_path in pairs:
        values, inside = tifffile.imread(image_path).astype(float), tifffile.imread(mask_path) > 0
        found.append(round(values[inside].mean() - values[~inside].mean()))
    return found


print("contrast, paired by position:", contrast(by_position))
print("contrast, paired by name:    ", contrast(by_name))
assert min(contrast(by_name)) > 10 > max(contrast(by_position)[3:])

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
for ax, (image_path, mask_path), how in [(axes[0], by_position[4], "by position"), (axes[1], by_name[4], "by name")]:
    ax.imshow(tifffile.imread(image_path), vmax=120)
    ax.contour(tifffile.imread(mask_path) > 0, [0.5], colors=ORANGE, linewidths=1)
    ax.set_title(f"paired {how}: image {image_path.stem}, mask {mask_path.stem}")
plt.show()

# %% [markdown]
# **What to look for.** On the left outlines lie on nothing. On the right each nucleus has its outline. Drawing one
# pair, always, is the cheapest test of a data set there is.
#
# `unetprep` pairs by name, and refuses a folder with a partner missing instead of guessing:

# %%
shutil.rmtree("incomplete", ignore_errors=True)
shutil.copytree("raw/images", "incomplete/images")
shutil.copytree("raw/masks", "incomplete/masks", ignore=shutil.ignore_patterns("field_3.tif"))
try:
    unetprep.import_images("incomplete.zarr", "incomplete/images", "incomplete/masks")
    raise AssertionError("it should have been refused")
except unetprep.InvalidInput as refused:
    print("refused:", refused)

# %% [markdown]
# ## 2 Lint: what broken labels look like
#
# Labels are *names* that happen to be written as numbers. Between nucleus 5 and nucleus 9 there is no nucleus 7.
# Whoever resizes labels as if they were an image creates it. Let us break a mask in the most common way, by doubling
# its size with linear interpolation, and then count, with nothing but `np.unique`:

# %%
mask = labels[fields["field_5"]]
good = ndimage.zoom(mask, 2, order=0)  # nearest: every pixel copies a neighbour
bad = np.round(ndimage.zoom(mask.astype(float), 2, order=1)).astype(mask.dtype)  # linear: every pixel averages

invented = ~np.isin(bad, np.unique(mask))
for title, values in [("mask", mask), ("doubled by nearest", good), ("doubled by linear", bad)]:
    print(f"{title}: {len(np.unique(values))} different numbers")
print(f"pixels with a number that no nucleus has: {invented.sum()}")
assert np.array_equal(np.unique(good), np.unique(mask))

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3), layout="constrained")
for ax, values, title in [(axes[0], good, "nearest"), (axes[1], bad, "linear: orange pixels have an invented number")]:
    picture = np.stack([values > 0] * 3, axis=-1).astype(float)
    picture[~np.isin(values, np.unique(mask))] = (0.9, 0.62, 0)
    ax.imshow(picture)
    ax.set_title(title)
plt.show()

# %% [markdown]
# **What to look for.** A seam of invented numbers around every nucleus, and between two that touch. As a black and
# white mask nothing seems wrong, and that is why it survives so often.
#
# Now plant both this fault and a second one, a number that two distant nuclei share, in a folder, and see whether
# `unetprep lint` finds them. (On the command line: `unetprep lint broken`.)

# %%
shutil.rmtree("broken", ignore_errors=True)
shutil.copytree("raw/masks", "broken")
tifffile.imwrite("broken/field_5.tif", bad)
twice = labels[fields["field_7"]].copy()
numbers, sizes = np.unique(twice[twice > 0], return_counts=True)
one, other = numbers[np.argsort(sizes)[[-1, -2]]]
twice[twice == other] = one
tifffile.imwrite("broken/field_7.tif", twice)

findings = {Path(found.path).stem: found.findings for found in unetprep.lint("broken")}
for name, found in findings.items():
    for finding in found:
        if finding.rule in ("interpolated", "split"):
            print(f"{name}: {finding.rule}: {finding.message}\n         what to do: {finding.hint}")
assert "interpolated" in [finding.rule for finding in findings["field_5"]]
assert "split" in [finding.rule for finding in findings["field_7"]]

# %% [markdown]
# ## 3 Splits: what the test must not have seen
#
# Three parts, three purposes. **Train**: the network learns from it. **Val**: you choose by it (which network, which
# threshold). **Test**: touched once, for the number that you report. By hand it is a shuffled list of names:

# %%
names = sorted(fields)
shuffled = np.random.default_rng(seed=0).permutation(names)
split = {"test": shuffled[:2], "val": shuffled[2:3], "train": shuffled[3:]}
print({part: sorted(map(str, members)) for part, members in split.items()})

# %% [markdown]
# (`unetprep` shuffles in its own way; its choice in section 7 is another one.)
#
# A list of **images**, not of tiles. Why? A U-Net tile has context: to score 132 x 132 pixels the network of the
# paper looks at 316 x 316. Tiles of the same image overlap by far. Let us count how many test pixels a training has
# already looked at, if somebody shuffles tiles.

# %%
OUTPUT, HALO = 132, 92  # of a tile of 316 pixels: 316 = 132 + 2 * 92
origins = [(y, x) for y in range(0, 512, OUTPUT) for x in range(0, 512, OUTPUT)]
order = np.random.default_rng(seed=1).permutation(len(origins))
test_tiles, train_tiles = [origins[k] for k in order[:4]], [origins[k] for k in order[4:]]

is_test, was_seen = np.zeros((512, 512), bool), np.zeros((512, 512), bool)
for y, x in test_tiles:
    is_test[y : y + OUTPUT, x : x + OUTPUT] = True
for y, x in train_tiles:
    was_seen[max(0, y - HALO) : y + OUTPUT + HALO, max(0, x - HALO) : x + OUTPUT + HALO] = True
leaked = (is_test & was_seen).sum() / is_test.sum()
halved = np.setdiff1d(np.intersect1d(labels[is_test], labels[~is_test]), [0])
print(f"tiles shuffled: training saw {leaked:.0%} of the test pixels, and learned a part of {len(halved)} test nuclei")
assert leaked > 0.5

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
in_strips = np.zeros((512, 512), bool)
in_strips[384:] = True  # a quarter of the image
for ax, tested, title in [
    (axes[0], is_test, f"tiles shuffled: {leaked:.0%} leaked"),
    (axes[1], in_strips, "strips: nothing leaked"),
]:
    ax.imshow(image, vmax=120)
    picture = np.zeros((512, 512, 4))
    picture[tested] = (0.9, 0.62, 0, 0.45)
    ax.imshow(picture)
    ax.set_title(f"test in orange. {title}")
y, x = train_tiles[0]
axes[0].add_patch(
    Rectangle(
        (x - HALO, y - HALO), 316, 316, fill=False, edgecolor=BLUE, linewidth=2, label="what one training tile sees"
    )
)
axes[0].legend(loc="lower right")
axes[0].set(xlim=(-0.5, 511.5), ylim=(511.5, -0.5))
plt.show()

# %% [markdown]
# **What to look for.** The blue square of a single training tile covers orange pixels.
#
# Two rules follow. With several images, **split by image** (better: by sample or patient, if several images come from
# one). With a single image, **cut it into parts first**, and let every part mirror its own edge, so that nothing is
# seen across. (A nucleus on the cut is still in two parts: whole images are better.) `unetprep import` does either,
# by `--val-fraction` and `--test-fraction`. Our eight fields *do* come from one image, so nuclei at their edges are
# in two of them: fine for a lesson, not for a paper. And the same pixels in two splits, under whatever name, are
# refused:

# %%
shutil.rmtree("leak.zarr", ignore_errors=True)
unetprep.import_images("leak.zarr", image, labels.astype(np.int32), name="mouse_1")
try:
    unetprep.import_images(
        "leak.zarr", image, labels.astype(np.int32), unetprep.ImportParams(split="test"), name="mouse_2"
    )
    raise AssertionError("it should have been refused")
except unetprep.UnetprepError as refused:
    print("refused:", refused)

# %% [markdown]
# ## 4 Tiles with mirrored context
#
# An unpadded U-Net returns less than it is given: 316 in, 132 out. To score the pixels at the edge of the image it
# needs pixels outside of it. The paper **mirrors** the image there. By hand it is one call of `numpy.pad`, and a tile
# is a slice. To keep track of positions, say where its *output* begins:

# %%


def tile_by_hand(array, y, x):
    """The input tile whose output begins at pixel (y, x)."""
    padded = np.pad(array, HALO + OUTPUT, mode="reflect")  # enough for the last tiles, which stand over the edge
    top, left = y + OUTPUT, x + OUTPUT  # where y - HALO, x - HALO is in the padded array
    return padded[top : top + 316, left : left + 316]


corner = tile_by_hand(image, 0, 0)
assert all(
    np.array_equal(tile_by_hand(image, y, x), unetprep.mirrored_tile(image, (y - HALO, x - HALO), (316, 316)))
    for y, x in origins
)
print("unetprep.mirrored_tile gives the same for all", len(origins), "tiles")
print("reflect:  ", np.pad([1, 2, 3, 4], 2, mode="reflect"), "  the edge pixel stands once: this is it")
print("symmetric:", np.pad([1, 2, 3, 4], 2, mode="symmetric"), "  the edge pixel stands twice: a common mistake")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
left.imshow(corner, vmax=120)
left.axhline(HALO, color=BLUE, linestyle="--")
left.axvline(HALO, color=BLUE, linestyle="--")
left.add_patch(Rectangle((HALO, HALO), OUTPUT, OUTPUT, fill=False, edgecolor=ORANGE, linewidth=2))
left.set_title("the first tile. Blue: edges of the image. Orange: output")
covered = np.zeros((528, 528), int)
for k, (y, x) in enumerate(origins):
    covered[y : y + OUTPUT, x : x + OUTPUT] += 1
    right.add_patch(Rectangle((x, y), OUTPUT, OUTPUT, fill=False, edgecolor=ORANGE))
    right.text(x + 8, y + 24, str(k), color=ORANGE)
right.imshow(image, vmax=120)
right.add_patch(
    Rectangle((origins[5][1] - HALO, origins[5][0] - HALO), 316, 316, fill=False, edgecolor=BLUE, linewidth=2)
)
right.set(xlim=(-10, 540), ylim=(540, -10), title="outputs of all tiles; blue: what tile 5 is given")
plt.show()
assert np.all(covered == 1)
print("every pixel is in the output of exactly one tile")

# %% [markdown]
# **What to look for.** On the left, nuclei beyond the blue lines are mirror images of those inside. On the right the
# outputs fill the image without gap or overlap; only the *inputs* overlap.
#
# > **If you come from OpenCV or Keras.** `cv2.copyMakeBorder(image, n, n, n, n, cv2.BORDER_REFLECT_101)` is numpy's
# > `reflect`; `cv2.BORDER_REFLECT` is `symmetric`. `Conv2D(padding="same")` pads with **zeros**: cheap, and it makes
# > pixels near the edge of each tile worse than the others, which shows as seams. Tensors: Keras has (batch, y, x,
# > channel), torch (batch, channel, y, x).
#
# ## 5 Halos: large images in pieces
#
# A terabyte does not fit into memory. So whatever is computed, such as a weight map, is computed block by block. But
# the weight of a pixel depends on nuclei that may lie *outside* of its block. The cure is a **halo**: read more than
# you write.
#
#     |<- halo ->|<------ block ------>|<- halo ->|      read
#                |<------ block ------>|                 written
#
# How much is enough? Try it on one block:

# %%
whole = unetprep.weight_map(labels, class_weights=(1, 1))
block = np.s_[32:128, 368:464]


def computed_in_a_block(halo):
    """The weights of the block, computed from the labels of the block and a halo."""
    (y0, y1), (x0, x1) = ((s.start, s.stop) for s in block)
    top, left = max(0, y0 - halo), max(0, x0 - halo)
    around = labels[top : y1 + halo, left : x1 + halo]
    return unetprep.weight_map(around, class_weights=(1, 1))[y0 - top :, x0 - left :][: y1 - y0, : x1 - x0]


errors = {halo: np.abs(computed_in_a_block(halo) - whole[block]) for halo in (0, 2, 4, 8, 16, 31)}
for halo, error in errors.items():
    print(f"halo {halo:2}: largest error {error.max():.2e}")
assert errors[0].max() > 1
assert errors[31].max() == 0

# %%
figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6), layout="constrained")
shown = axes[0].imshow(whole[block], cmap="magma", vmax=11)
axes[0].set_title("weights of the block")
figure.colorbar(shown, ax=axes[0])
shown = axes[1].imshow(errors[0], cmap="magma")
axes[1].set_title("error without a halo")
figure.colorbar(shown, ax=axes[1])
axes[2].semilogy(list(errors), [max(error.max(), 1e-9) for error in errors.values()], "o-", color="black")
axes[2].set(xlabel="halo in pixels", ylabel="largest error", title="31 pixels are enough (0 drawn as 1e-9)")
plt.show()

# %% [markdown]
# **What to look for.** Errors sit at the edges of the block, where the neighbour across is missing. From 31 pixels on
# the result is *equal*, bit for bit: $10 \exp(-31^2 / 50)$ is too small to change a `float32` near 1.
#
# ## 6 Chunks and shards: how it lies on disk
#
# A Zarr array is cut into **chunks**, which are compressed one by one: the smallest part that can be read. Small
# chunks are handy to read, but a file for each would make millions of files. So chunks are packed into **shards**, of
# which each is one file with an index. You read chunks; you write whole shards. Build one with plain zarr, and count:

# %%


def num_files(folder):
    return sum(path.is_file() and path.name != "zarr.json" for path in Path(folder).rglob("*"))


for folder in ("plain.zarr", "sharded.zarr"):
    shutil.rmtree(folder, ignore_errors=True)
zarr.create_array("plain.zarr", shape=(512, 512), dtype="uint16", chunks=(64, 64))[:] = image
sharded = zarr.create_array("sharded.zarr", shape=(512, 512), dtype="uint16", chunks=(64, 64), shards=(256, 256))
sharded[:] = image
print(
    f"64 chunks: {num_files('plain.zarr')} files; the same in shards of 4 x 4 chunks: {num_files('sharded.zarr')} files"
)
assert (num_files("plain.zarr"), num_files("sharded.zarr")) == (64, 4)

# %%
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.imshow(image, vmax=120)
window = (140, 200, 150, 90)  # y, x, height, width
for k in range(0, 513, 64):
    width = 3 if k % 256 == 0 else 0.7
    ax.axhline(k - 0.5, color=BLUE, linewidth=width)
    ax.axvline(k - 0.5, color=BLUE, linewidth=width)
ax.add_patch(Rectangle((window[1], window[0]), window[3], window[2], color=ORANGE, alpha=0.5))
touched = {(y // 64, x // 64) for y in range(140, 290) for x in range(200, 290)}
ax.set_title(f"thin: chunks, thick: shards. To read the orange window,\n{len(touched)} chunks of 64 are decompressed")
plt.show()

# %% [markdown]
# ## 7 All of it at once
#
# Now the real thing. On the command line it is four commands (or one *recipe*, below):
#
# ```sh
# unetprep import --image raw/images --labels raw/masks --out nuclei.zarr --val-fraction 0.125 --test-fraction 0.25
# unetprep weights --out nuclei.zarr
# unetprep deform --out nuclei.zarr --fields 50 --tile 316
# unetprep tiles --out nuclei.zarr --tile 316
# ```
#
# and in Python one call:

# %%
shutil.rmtree("nuclei.zarr", ignore_errors=True)
importing = unetprep.ImportParams(val_fraction=0.125, test_fraction=0.25)
stages = [unetprep.WeightsParams(), unetprep.DeformParams(fields=50, tile_px=316), unetprep.TilesParams(tile_px=316)]
for summary in unetprep.prepare_store("nuclei.zarr", "raw/images", "raw/masks", stages, importing):
    print(summary.stage, "wrote", summary.shards_written, "shards")

# %% [markdown]
# No black box: open the store with **plain zarr** and look. (`pipeline/LAYOUT.md` describes every array.)

# %%
store = zarr.open_group("nuclei.zarr", mode="r")
for path in (
    "images/field_1/image",
    "images/field_1/labels/instances/instances",
    "images/field_1/weights",
    "fields/grids",
    "tiles/image",
    "tiles/target",
):
    array = store[path]
    print(f"{path:43} {array.shape!s:20} {array.dtype!s:8} chunks {array.chunks}, shards {array.shards}")
print({name: group.attrs["unetprep"]["split"] for name, group in sorted(store["images"].groups())})

field = store["images/field_3"]
shown = {
    "image": field["image"][0, 0],
    "instances": field["labels/instances/instances"][0],
    "target": field["labels/target/target"][0],
    "weights": field["weights"][0],
}
figure, axes = plt.subplots(2, 2, figsize=(11, 5.6), layout="constrained")
for ax, (name, values), cmap in zip(axes.flat, shown.items(), ["gray", "cividis", "gray", "magma"], strict=True):
    figure.colorbar(ax.imshow(values, cmap=cmap), ax=ax)
    ax.set_title(f"images/field_3: {name}")
plt.show()
assert np.array_equal(shown["image"], tifffile.imread("raw/images/field_3.tif"))

# %% [markdown]
# And a tile? It is what we cut by hand, with one addition: 48 more pixels on each side, the *margin*, so that the
# elastic deformation of notebook 2 moves real pixels in.

# %%
tiles = store["tiles"]
k, MARGIN = 3, 48
name = tiles.attrs["unetprep"]["names"][int(tiles["image_index"][k])]
y0, x0 = int(tiles["y0"][k]), int(tiles["x0"][k])
original = tifffile.imread(f"raw/images/{name}.tif")
side = 316 + 2 * MARGIN
by_hand = unetprep.mirrored_tile(original, (y0 - HALO - MARGIN, x0 - HALO - MARGIN), (side, side))
part = ("train", "val", "test")[int(tiles["split"][k])]
print(f"tile {k} of {tiles['z'].shape[0]}: from {name}, its output begins at ({y0}, {x0}), split {part}")
assert np.array_equal(tiles["image"][k, 0], by_hand)
print("it equals the tile cut by hand from the TIFF, at every pixel")

# %% [markdown]
# The same by the command, from a recipe. A recipe is a text file that you can keep beside your results. It gives the
# same store:

# %%
Path("recipe.toml").write_text("""\
out = "by-recipe.zarr"
[import]
image = "raw/images"
labels = "raw/masks"
val-fraction = 0.125
test-fraction = 0.25
[weights]
[deform]
fields = 50
tile = 316
[tiles]
tile = 316
""")
shutil.rmtree("by-recipe.zarr", ignore_errors=True)
command = shutil.which("unetprep") or str(Path(sys.executable).with_name("unetprep"))
subprocess.run([command, "run", "recipe.toml", "--quiet"], check=True)


def arrays(path):
    """All arrays of a store, by path."""
    return {
        name: found
        for name, found in zarr.open_group(path, mode="r").members(max_depth=None)
        if isinstance(found, zarr.Array)
    }


by_python, by_recipe = arrays("nuclei.zarr"), arrays("by-recipe.zarr")
assert by_python.keys() == by_recipe.keys()
assert all(np.array_equal(by_python[path][:], by_recipe[path][:]) for path in by_python if path != "first_reading")
print(len(by_python), "arrays, all equal. And the store checks itself:")
print("faults:", unetprep.verify("nuclei.zarr").faults)

# %% [markdown]
# ## 8 Which gray value is 0, and which is 1?
#
# A network wants numbers of about 0 to 1. Three rules are common: the range of the **type** (0 to 65,535 for
# `uint16`), the **least and greatest** value of the image, and **percentiles**. One broken camera pixel tells them
# apart:

# %%
hot = image.copy()
hot[300, 300] = 65535


def percentile_range(values):
    """Percentiles 0.02 and 99.98 of squares of 2 x 2 pixels, so that a single odd pixel has no vote."""
    squares = np.sort(values.reshape(256, 2, 256, 2).swapaxes(1, 2).reshape(-1, 4), axis=1)
    rank = (len(squares) - 1) * 2 // 10000
    return float(np.sort(squares[:, 2])[rank]), float(np.sort(squares[:, 1])[-1 - rank])


ranges = {"dtype": (0, 65535), "minmax": (int(hot.min()), int(hot.max())), "percentile": percentile_range(hot)}
print("percentiles: clean image", percentile_range(image), " with the hot pixel", percentile_range(hot))
print("unettrain.intensity_range:       ", unettrain.intensity_range(hot[None, None]))
assert np.allclose(unettrain.intensity_range(hot[None, None]), percentile_range(hot))

# %%
figure, axes = plt.subplots(1, 3, figsize=(12.5, 4.2), layout="constrained")
for ax, (rule, (low, high)) in zip(axes, ranges.items(), strict=True):
    shown = ax.imshow((hot.astype(float) - low) / (high - low), vmin=0, vmax=1)
    ax.set_title(f"{rule}: {low:g} becomes 0, {high:g} becomes 1")
figure.colorbar(shown, ax=axes)
plt.show()

# %% [markdown]
# **What to look for.** Two of three are black: the nuclei, at values around 80, share the lowest thousandth of the
# range. `unetprep import` uses the type's range for 8-bit images, where it is what you see on the screen, and
# percentiles for all others (`--intensity`). The range is stored **once for each image**. Scaling each tile by its
# own range would make a dim nucleus bright in one tile and dim in its neighbour: a seam.
#
# ## Exercises
#
# 1. Which tile sizes are legal at depth 4? Ask `unettrain.UNetConfig().legal_tiles_near(300)`, and explain the step.
# 2. Mirror `[1, 2, 3]` by five pixels on each side, by hand, then with `numpy.pad`. What happens beyond the far edge?
# 3. A 16-bit image of which 5 percent are saturated at 65,535: what does the percentile rule do? Is that right?
# 4. How many bytes must be decompressed to read one pixel from an array with chunks of 256 x 256 `float32`?
# 5. Two tiles of a stack of 30 slices, adjacent in z, are in train and test. Is this leakage? How would you split?
#
# <details><summary>Answers</summary>
#
# 1. 300 and, in steps of 16, 284, 316, ... : four poolings halve the side four times, so sides that give the same
#    remainder by $2^4 = 16$ stay whole.
# 2. The mirror is mirrored again: `2 1 2 3 2 | 1 2 3 | 2 1 2 3 2`. The cell below prints it. Numpy and
#    `mirrored_tile` do that; torch's `reflect` raises an error when the pad is as large as the image.
# 3. The upper percentile is 65,535, as saturated *areas* are no hot pixels; that is right, they are the brightest
#    thing there is.
# 4. 256 x 256 x 4 = 262,144 bytes: one whole chunk.
# 5. Yes: neighbours in z look alike. Split by stack; or, if there is only one, by blocks of slices with a gap between
#    them.
#
# </details>

# %%
print("exercise 1:", unettrain.UNetConfig().legal_tiles_near(300), unettrain.UNetConfig().legal_tiles_near(301))
print("exercise 2:", np.pad([1, 2, 3], 5, mode="reflect"), unetprep.mirrored_tile(np.array([1, 2, 3]), (-5,), (13,)))
