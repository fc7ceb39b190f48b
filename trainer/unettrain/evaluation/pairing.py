"""Pairs of predictions and labels: of one image, or by name of those in folders, patterns and stores."""

import os
from dataclasses import dataclass, replace

from unetprep.sources.naming import (
    IMAGE_KEYS,
    KNOWN_NAMES,
    LABEL_KEYS,
    FileName,
    Key,
    Matched,
    match,
)
from unettrain.errors import InvalidInput
from unettrain.prediction.inputs import Image, Images, find_images
from unettrain.prediction.targets import ENDINGS

BESIDE = tuple(os.path.splitext(ending)[0] for ending in ENDINGS.values() if ending.count(".") > 1)
SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """The name of an image, and the paths of its prediction and its labels."""

    name: str
    prediction: str
    labels: str


def find_pairs(prediction: str, labels: str, split: str = "") -> tuple[Pair, ...]:
    """Pair predictions and labels: files, folders, patterns, stores, and images of stores.

    Two single images are a pair, whatever their names are. Others are paired by name, as `unetprep import` pairs images
    and labels. What `unettrain predict` writes beside labels, such as NAME.overlay.png, is left out, unless a pattern
    names it. `split` selects among the images of a store. Raises InvalidInput for an image without a partner.
    """
    true, proposed = find_images([labels], split), find_images([prediction])
    if proposed.is_one and true.is_one:
        return (Pair(proposed.found[0].name, prediction, labels),)
    mine, theirs = ([FileName(i.path, "", i.name) for i in images] for images in (_main(proposed), true.found))
    found = match(mine, theirs, PREDICTION_KEYS, LABEL_KEYS)
    _refuse_alone(found, labels)
    pairs = [Pair(name, file.path, partner.path) for name, (file, partner) in found.pairs.items()]
    return tuple(sorted(pairs, key=lambda pair: pair.name))


def _main(images: Images) -> list[Image]:
    """The images without those that stand beside another one."""
    names = {image.name for image in images.found}
    return [image for image in images.found if image.name == (main := _main_name(image.name)) or main not in names]


def _main_name(name: str) -> str:
    """The name of the file that a file may stand beside: NAME of NAME.overlay."""
    return next((name.removesuffix(end) for end in BESIDE if name.endswith(end)), name)


def _of_main(key: Key) -> Key:
    return lambda file: key(replace(file, stem=_main_name(file.stem)))


PREDICTION_KEYS: tuple[Key, ...] = tuple(map(_of_main, IMAGE_KEYS))


def _refuse_alone(found: Matched, labels: str) -> None:
    """Raise InvalidInput for files without a partner."""
    for alone, partner in ((found.images, "labels"), (found.labels, "prediction")):
        if alone:
            names = ", ".join(file.path for file in alone[:SHOWN])
            raise InvalidInput(
                f"{len(alone)} images have no {partner} of their name: {names}" + ", ..." * (len(alone) > SHOWN),
                allowed=f"a prediction for each image of the labels, and the reverse; names: {KNOWN_NAMES}",
                hint='name those that belong together by patterns such as "FOLDER/*.tif"; of a store by --split'
                if partner == "prediction"
                else f"check that {labels} holds the labels of all predictions",
            )
