"""Rules for the intensity range, compared: what hot pixels, crops, bit depth and sparse cells do to the range.

python -m benchmarks.intensity.rules [--data FOLDER]     writes rules.json, and prints the table

FOLDER holds images (TIFF or PNG; paths with "label" in them are left out); without it images of cells are generated.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, ratio, write
from unetprep.kernels.percentiles import robust_range
from unetprep.sources import open_source

HERE = Path(__file__).parent
Image = NDArray[np.float64]
Range = tuple[float, float]
Rule = Callable[[Image], Range]

PLAIN = ((0, 100), (0, 99.9), (0.01, 99.99), (0.1, 99.9), (0.5, 99.8), (1, 99))
SQUARES = ((0, 100), (0.01, 99.99), (0.02, 99.98), (0.05, 99.95), (0.1, 99.9))
SHARES = (0.0002, 0.0005, 0.001, 0.005)  # of the pixels in the cells of sparse images
COLUMNS = "rule | hot 1 | hot 10 | hot 100 | hot row | block of 5 x 5 | crop | 12 bits | "
COLUMNS += " | ".join(f"sparse {100 * share:g} %" for share in SHARES) + " | outside, % | farthest"


def main() -> None:
    """Compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of images")
    folder = parser.parse_args().data
    images = list(read_images(Path(folder)) if folder else generated_images())
    sparse = {share: [sparse_image(share, seed) for seed in range(3)] for share in SHARES}
    rows = {name: compare(rule, images, sparse) for name, rule in rules().items()}
    results = {"machine": machine("numpy"), "images": len(images), "rules": rows, "time": times()}
    write(HERE / "rules.json", results)
    print(f"| {COLUMNS} |")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")
    print(json.dumps(results["time"]))


def rules() -> dict[str, Rule]:
    """Percentiles of all pixels, and of the medians of squares of 2 x 2."""

    def plain(low: float, high: float) -> Rule:
        return lambda image: (quantile(image, low, "lower"), quantile(image, high, "higher"))

    def squares(low: float, high: float) -> Rule:
        def rule(image: Image) -> Range:
            lower, upper = medians(image)
            return quantile(upper, low, "lower"), quantile(lower, high, "higher")

        return rule

    of_pixels = {f"{a:g}..{b:g}": plain(a, b) for a, b in PLAIN}
    return of_pixels | {f"2 x 2, {a:g}..{b:g}": squares(a, b) for a, b in SQUARES}


def quantile(values: Image, percent: float, method: Any) -> float:
    """A percentile that is one of the values."""
    return float(np.percentile(values, percent, method=method))


def medians(image: Image) -> tuple[Image, Image]:
    """Lower and upper median of the squares of an image (..., y, x)."""
    y, x = (n // 2 * 2 for n in image.shape[-2:])
    ordered = np.sort(np.stack([image[..., i:y:2, j:x:2] for i in (0, 1) for j in (0, 1)]), axis=0)
    return ordered[1], ordered[2]


def compare(rule: Rule, images: list[Image], sparse: dict[float, list[Image]]) -> dict[str, float]:
    """The figures of one rule. Changes are in units of the range: the largest over all images, of crops the mean."""
    ranges = [rule(image) for image in images]
    pairs = list(zip(images, ranges, strict=True))
    found = {f"hot_{k}": max(change(rule(hot(image, k)), own) for image, own in pairs) for k in (1, 10, 100)}
    for name, box in (("hot_row", np.s_[..., 7, :]), ("block", np.s_[..., 11:16, 21:26])):
        found[name] = max(change(rule(marked(image, box)), own) for image, own in pairs)
    found["crop"] = float(np.mean([change(rule(crop), own) for image, own in pairs for crop in crops(image)]))
    found["12_bits"] = max(
        change((low / 16, high / 16), own) for image, own in pairs for low, high in [rule(widened(image))]
    )
    for share, some in sparse.items():
        found[f"sparse_{share:g}"] = float(np.mean([scaled_cells(image, rule(image)) for image in some]))
    outside = [np.mean((image < low) | (image > high)) for image, (low, high) in pairs]
    found["percent_outside"] = 100 * float(np.mean(outside))
    found["farthest"] = max(
        max((image.max() - low) / (high - low), (high - image.min()) / (high - low)) for image, (low, high) in pairs
    )
    return {name: round(float(value), 4) for name, value in found.items()}


def change(found: Range, own: Range) -> float:
    """How far either end has moved, in units of the width."""
    return max(abs(found[0] - own[0]), abs(found[1] - own[1])) / max(own[1] - own[0], 1e-9)


def value_of_hot_pixels(image: Image) -> float:
    """The largest value of 16 bits, of images of 8 bits that of 12."""
    return 65535.0 if image.max() > 255 else 4095.0


def hot(image: Image, number: int) -> Image:
    """The image with hot pixels at random places."""
    faulty = image.copy()
    places = np.random.default_rng(number).choice(image.size, number, replace=False)
    faulty.reshape(-1)[places] = value_of_hot_pixels(image)
    return faulty


def marked(image: Image, box: Any) -> Image:
    """The image with one box of hot pixels."""
    faulty = image.copy()
    faulty[box] = value_of_hot_pixels(image)
    return faulty


def crops(image: Image) -> Iterator[Image]:
    """Five crops of half the sides, at most 256 pixels, at random places."""
    rng = np.random.default_rng(0)
    sides = [min(256, n // 2) for n in image.shape[-2:]]
    for _ in range(5):
        y, x = (int(rng.integers(0, n - side + 1)) for n, side in zip(image.shape[-2:], sides, strict=True))
        yield image[..., y : y + sides[0], x : x + sides[1]]


def widened(image: Image) -> Image:
    """Sixteen times the values, with noise below the old steps."""
    return image * 16 + np.random.default_rng(0).integers(0, 16, image.shape)


def sparse_image(share: float, seed: int) -> Image:
    """Dark and noisy, with discs of 150 pixels that cover a share of it."""
    rng = np.random.default_rng(seed)
    image, (y, x) = rng.normal(100, 5, (1024, 1024)), np.mgrid[:1024, :1024]
    for centre in rng.uniform(20, 1000, (max(1, round(share * image.size / 150)), 2)):
        distance = np.hypot(y - centre[0], x - centre[1])
        image += rng.uniform(500, 2000) * np.clip(1.5 - distance / 7, 0, 1)
    return image


def scaled_cells(image: Image, found: Range) -> float:
    """What bright cell pixels (their 90th percentile) become; far above 1 where the range is that of the background."""
    return (quantile(image[image > 400], 90, "nearest") - found[0]) / (found[1] - found[0])


def read_images(folder: Path) -> Iterator[Image]:
    """All images below a folder, of a stack of independent slices every fifth."""
    for path in sorted(folder.rglob("*")):
        is_image = path.suffix.lower() in (".tif", ".tiff", ".png")
        if is_image and not re.search("label", str(path.relative_to(folder)), re.IGNORECASE):
            source = open_source(str(path), "")
            yield source.read(tuple(slice(0, n) for n in source.shape)).astype(np.float64)


def generated_images() -> Iterator[Image]:
    """Discs of different brightness on a noisy background, dense and sparse."""
    for seed, num in enumerate((5, 20, 80, 300)):
        rng = np.random.default_rng(seed)
        image, (y, x) = rng.normal(30, 4, (512, 512)), np.mgrid[:512, :512]
        for centre in rng.uniform(0, 512, (num, 2)):
            image += rng.uniform(30, 180) * (np.hypot(y - centre[0], x - centre[1]) < 10)
        yield image.clip(0, 255).round()


def times() -> dict[str, Any]:
    """The range of 16 megapixels, in units of their SHA-256, which import takes anyway."""
    values = np.random.default_rng(0).gamma(2, 20, (4096, 4096))
    found = {}
    for dtype in ("uint8", "uint16", "float32"):
        image = values.clip(0, 255).astype(dtype)
        found[dtype] = ratio(
            lambda image=image: robust_range(lambda: [image], image.dtype),  # type: ignore[misc]
            lambda image=image: sha256(image.data).hexdigest(),  # type: ignore[misc]
            pairs=3,
        )
    return found


if __name__ == "__main__":
    main()
