"""Inventory of a store: expected arrays, their documents, and objects that belong to nothing."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Index
from unetprep.format.documents import Document
from unetprep.format.layout import (
    AXES,
    CHANNEL_AXES,
    FIELDS,
    FIRST_READING,
    IMAGES,
    LEARNED,
    PLACES,
    STACKS,
    TILES,
    Provenance,
    absent_from_tiles,
    labels_path,
    pixels_path,
)
from unetprep.format.metadata import DOCUMENT, has_checksum, is_intact, parse_document, record_of
from unetprep.format.places import group_paths
from unetprep.format.sharding import Shards, shard_key
from unetprep.storage.base import Storage
from unetprep.storage.lock import LOCK
from unetprep.store.store import REPLACED

PROVENANCE = ("stage", "kernel_version", "parameters", "inputs")
SHARD = re.compile(r"(.*)/c/([0-9]+(?:/[0-9]+)*)")


@dataclass(frozen=True)
class Kind:
    """An array as the layout has it."""

    dims: tuple[str, ...]
    dtypes: tuple[str, ...]


def _per_tile(dtype: str) -> Kind:
    return Kind(("tile",), (dtype,))


PIXELS = ("uint8", "uint16", "float32")


def _of_images(parent: str, counted: str) -> dict[str, dict[str, Kind]]:
    """The groups of an image or stack; `counted` is the first axis of the class counts."""
    return {
        parent: {},
        f"{parent}/*": {"image": Kind(CHANNEL_AXES, PIXELS), "weights": Kind(AXES, ("float32",))},
        f"{parent}/*/labels": {},
        f"{parent}/*/labels/instances": {"instances": Kind(AXES, ("int32",))},
        f"{parent}/*/labels/classes": {"classes": Kind(AXES, ("uint8",))},
        f"{parent}/*/labels/target": {
            "target": Kind(AXES, ("uint8",)),
            "class_counts": Kind((counted, "shard_y", "shard_x", "class"), ("int64",)),
        },
    }


GROUPS: dict[str, dict[str, Kind]] = {  # * stands for the name of an image or the number of a stack
    "": {FIRST_READING: Kind(("byte",), ("uint8",))},
    **_of_images(IMAGES, "shard_z"),
    **_of_images(STACKS, "z"),
    FIELDS: {
        "grids": Kind(("field", "axis", "gy", "gx"), ("float32",)),
        "folding": Kind(("field",), ("float32",)),
        "dense": Kind(("field", "axis", "y", "x"), ("float16", "float32")),
    },
    TILES: {
        "image": Kind(("tile", "c", "y", "x"), PIXELS),
        "target": Kind(("tile", "y_out", "x_out"), ("uint8",)),
        "weights": Kind(("tile", "y_out", "x_out"), ("float32",)),
        "instances": Kind(("tile", "y_cells", "x_cells"), ("int32",)),
        **{name: _per_tile(dtype) for name, dtype in (PLACES | LEARNED).items()},
    },
}


def pattern_of(path: str) -> str:
    """A path with * in the place of an image's name or a stack's number."""
    parts = path.split("/")
    return "/".join([parts[0], "*", *parts[2:]] if parts[0] in (IMAGES, STACKS) and parts[1:] else parts)


def kind_of(path: str) -> Kind | None:
    """What the array of this path should be; None if the layout has none there."""
    group, _, name = path.rpartition("/")
    return GROUPS.get(pattern_of(group), {}).get(name)


@dataclass(frozen=True)
class Node:
    """A group or array, as its document describes it."""

    path: str
    document: Document
    problem: str = ""  # what is wrong with the document; then nothing that it says is relied upon

    @property
    def record(self) -> dict[str, Any]:
        """What stands under our key."""
        return {} if self.problem else record_of(self.document)

    @property
    def shards(self) -> Shards | None:
        """Those of an array that can be relied upon."""
        is_array = not self.problem and self.document.get("node_type") == "array"
        return Shards(self.document) if is_array else None


@dataclass
class Inventory:
    """All objects of a store, sorted out."""

    sizes: dict[str, int]  # bytes of each object
    nodes: dict[str, Node] = field(default_factory=dict)
    shards: dict[str, list[Index]] = field(default_factory=dict)  # of each array that may be there: its shards
    unknown: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # object: why it should be there
    has_checksums: bool = True  # whether any document is: then all have to be

    @property
    def groups(self) -> list[str]:
        """The groups of images and stacks that the store names; those that are there, if what names them is damaged."""

        def record(path: str) -> dict[str, Any]:
            return self.nodes[path].record if path in self.nodes else {}

        found = group_paths(record)
        for parent, key in ((IMAGES, "names"), (STACKS, "count")):
            if key not in record(parent):
                there = {
                    "/".join(k.split("/")[:2]) for k in self.sizes if k.startswith(f"{parent}/") and k.count("/") > 1
                }
                found += sorted(there)
        return found

    def key_of(self, path: str) -> str:
        """The object of a node's document."""
        return f"{path}/{DOCUMENT}".lstrip("/")

    def ancestors(self, path: str) -> Iterator[str]:
        """The groups that a node lies in."""
        while path:
            path = path.rpartition("/")[0]
            yield path


def take_inventory(storage: Storage, fetch: Callable[[Iterable[str]], Iterable[bytes]]) -> Inventory:
    """List a store and read all its documents, by `fetch`, which gets objects in order."""
    found = Inventory({key: size for key, size in storage.listing() if key != LOCK})
    _sort_out(found)
    keys = {path: found.key_of(path) for path in found.nodes}
    texts = dict(zip(keys, fetch(keys.values()), strict=True))
    found.has_checksums = any(_has_checksum(text) for text in texts.values())
    found.nodes = {path: read_node(path, texts[path], found.has_checksums) for path in keys}
    found.missing = {key: why for key, why in _needed(found) if key not in found.sizes}
    _check_names(found)
    return found


def _sort_out(found: Inventory) -> None:
    """Tell documents, shards and all else apart by their keys alone."""
    for key in sorted(found.sizes):
        path, _, name = key.rpartition("/")
        shard = SHARD.fullmatch(key)
        if name == DOCUMENT and (kind_of(path) or pattern_of(path) in GROUPS):
            found.nodes[path] = Node(path, {})
        elif shard and kind_of(shard[1]):
            index = tuple(map(int, shard[2].split("/")))
            if f"{shard[1]}/{shard_key(index)}" == key:
                found.shards.setdefault(shard[1], []).append(index)
            else:
                found.unknown.append(key)
        else:
            found.unknown.append(key)


def _check_names(found: Inventory) -> None:
    """What lies below an image or stack that the store does not name belongs to nothing."""
    groups = set(found.groups)

    def is_strange(path: str) -> bool:
        parts = path.split("/")
        return parts[0] in (IMAGES, STACKS) and len(parts) > 2 and "/".join(parts[:2]) not in groups

    strange = {key for key in found.sizes if is_strange(key)}
    found.unknown = sorted({*found.unknown, *strange})
    found.nodes = {path: node for path, node in found.nodes.items() if not is_strange(found.key_of(path))}
    found.shards = {path: indices for path, indices in found.shards.items() if not is_strange(found.key_of(path))}
    found.missing = {key: why for key, why in found.missing.items() if not is_strange(key)}


def _has_checksum(text: bytes) -> bool:
    try:
        return has_checksum(text)
    except (ValueError, RecursionError):
        return False


def read_node(path: str, text: bytes, sealed: bool) -> Node:
    """A node, and what is wrong with it. Where some documents are sealed, all are: a lost seal is damage too."""
    try:
        document = parse_document(text, "it is damaged", verify=False)
    except InvalidInput as error:
        return Node(path, {}, " ".join(str(error).split()))
    if not is_intact(text):
        return Node(path, {}, "it is damaged, or other software has changed it")
    if sealed and not has_checksum(text):
        return Node(path, {}, "it has no checksum: it is damaged, or other software has written it")
    return Node(path, document, _inconsistency(path, document))


def _inconsistency(path: str, document: Document) -> str:
    """How a document differs from the layout."""
    kind = kind_of(path)
    if document.get("node_type") != ("array" if kind else "group"):
        return f"it describes no {'array' if kind else 'group'}"
    if kind is None:
        return ""
    if tuple(document.get("dimension_names") or ()) != kind.dims:
        return f"its dimensions are {document.get('dimension_names')}, not {list(kind.dims)}"
    if document.get("data_type") not in kind.dtypes:
        return f"its dtype is {document.get('data_type')}, not {' or '.join(kind.dtypes)}"
    try:
        Shards(document)
    except ValueError as error:
        return str(error)
    record = record_of(document)
    if set(PROVENANCE) <= set(record):
        made = Provenance(**{key: record[key] for key in PROVENANCE})
        if made.fingerprint != record.get("fingerprint") and record.get("fingerprint") != REPLACED:
            return "its fingerprint is not that of what it says to be made from"
    return ""


def _needed(found: Inventory) -> Iterator[tuple[str, str]]:
    """Every document that must be there, and why; then every shard."""
    for path in ("", IMAGES):
        yield found.key_of(path), "every store has it"
    for group in found.groups:
        for path in (group, labels_path(group, "instances")):
            yield found.key_of(path), "every image has it"
        if {"intensity", "intensity_rule"} & set(_record(found, group)):
            yield found.key_of(pixels_path(group)), "the pixels of this image were imported"
    for path in {*found.nodes, *found.shards}:
        yield found.key_of(path), "there are shards of the array"
        for group in found.ancestors(path):
            yield found.key_of(group), f"{path} lies in it"
        if path in found.nodes:
            yield from _companions(found, found.nodes[path])
            yield from _all_shards(found.nodes[path])


def _companions(found: Inventory, node: Node) -> Iterator[tuple[str, str]]:
    group = node.path.rpartition("/")[0]
    for name in _made_together(node):
        yield found.key_of(f"{group}/{name}"), f"it is made together with {node.path}"
    for path in node.record.get("inputs", {}):
        if "/" in path:
            yield found.key_of(path), f"{node.path} was made from it"


def _made_together(node: Node) -> list[str]:
    """The names of the arrays that the job of this one makes, where it makes several."""
    group, _, name = node.path.rpartition("/")
    kinds = list(GROUPS.get(pattern_of(group), {}))
    if name not in kinds or pattern_of(group) not in (TILES, f"{IMAGES}/*/labels/target", f"{STACKS}/*/labels/target"):
        return []
    if group != TILES:
        return kinds
    absent = absent_from_tiles(node.record.get("parameters", {}))
    return list(PLACES) if name in PLACES else [k for k in kinds if k not in PLACES and k not in absent]


def _all_shards(node: Node) -> Iterator[tuple[str, str]]:
    """The shards of an array that is finished; of one that is not, they may be missing."""
    shards = node.shards
    if shards and node.record.get("complete", True):
        for index in product(*map(range, shards.counts)):
            yield f"{node.path}/{shard_key(index)}", "the array is complete"


def _record(found: Inventory, path: str) -> dict[str, Any]:
    return found.nodes[path].record if path in found.nodes else {}
