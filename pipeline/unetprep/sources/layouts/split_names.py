"""Splits by the names that folders and files of data sets give them."""

import re

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
               "test": "test", "testing": "test"}  # fmt: skip
WORDS = re.compile(r"[a-z]+")


def split_of(name: str) -> str:
    """The split that a name such as "train", "stage1_train" or "instances_val2017" tells; "" for none or several."""
    found = {SPLIT_NAMES[word] for word in WORDS.findall(name.lower()) if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""
