"""What the first reading of the sources of an import found, kept in the store, as bytes, for the next import.

A file of the same size, times and number (inode) as then is neither opened nor read again. Without this an import of
ten thousand files that finds nothing to do would decode all of them. It is a cache: without it an import does the same.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np

from unetprep.errors import UnetprepError
from unetprep.format.boxes import Box
from unetprep.format.layout import FIRST_READING, ArraySpec, Provenance
from unetprep.format.schema import is_number, is_size
from unetprep.kernels.percentiles import RobustRange
from unetprep.params import ImportParams
from unetprep.sources import Source, open_source
from unetprep.sources.digest import ShardDigests
from unetprep.sources.first_pass import Scan
from unetprep.sources.formats.npy import NpySource
from unetprep.sources.formats.pictures import PictureSource
from unetprep.sources.formats.tiff import TiffSource
from unetprep.sources.kept_pixels import KeptPixels
from unetprep.sources.limits import check_shape
from unetprep.sources.naming import IMAGE_ENDING, LABEL_ENDING, name_of
from unetprep.sources.source import Choice, absolute, refuse_dtype, with_axes
from unetprep.sources.urls import is_url
from unetprep.stages.first_reading import FirstReading, LabelScan
from unetprep.stages.splits import Part
from unetprep.store import Store

VERSION = 2
FEWEST_SOURCES, FEWEST_PIXELS = 32, 2**26  # for which it is kept
CLASSES: dict[str, type[Source]] = {c.__name__: c for c in (TiffSource, PictureSource, NpySource)}

MOST_BYTES = 2**28  # of all entries, unpacked
INVALID = (KeyError, ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError)

T = TypeVar("T")
Entry = dict[str, Any]


class KnownSources:
    """Entries by file: its state, how it is read, and what was found in it. A file is named by a digest of its path."""

    def __init__(self, kept: KeptPixels, entries: Mapping[str, Entry] | None = None) -> None:
        self.kept, self._before = kept, dict(entries or {})
        self._now: dict[str, Entry] = {}
        self._folders: set[str] = set()
        self._is_new = False

    @classmethod
    def of_store(cls, store: Store | None, kept: KeptPixels) -> "KnownSources":
        """Those that a store keeps; none if they are missing or invalid, which no reader can rely upon."""
        if store is None:
            return cls(kept)
        with suppress(OSError, UnetprepError, zlib.error, *INVALID):
            unpack = zlib.decompressobj()
            text = unpack.decompress(store.read_all(FIRST_READING).tobytes(), MOST_BYTES)
            found = json.loads(text)
            if found["version"] == VERSION:
                return cls(kept, {key: entry for key, entry in found["sources"].items() if isinstance(entry, dict)})
        return cls(kept)

    def put(self, store: Store) -> None:
        """Keep all entries in a store, those of other imports too."""
        if self._is_new:
            text = json.dumps({"version": VERSION, "sources": self._before | self._now}, separators=(",", ":"))
            data = np.frombuffer(zlib.compress(text.encode(), 1), np.uint8)
            size, made = (data.size,), Provenance("import", VERSION, {}, {})
            spec = ArraySpec(FIRST_READING, size, "uint8", ("byte",), size, size, made, codec="none")
            store.create(spec)
            store.write(spec, (slice(0, data.size),), data)
            store.set_complete(FIRST_READING, True)

    def gone(self) -> list[str]:
        """Names of the images of files that earlier imports read from the folders given now, and that are gone."""
        keys, folders = set(self._now), set(map(_key, self._folders))
        for folder in self._folders:
            keys |= {_key(os.path.join(folder, name)) for name in os.listdir(folder)}
        gone = (entry for key, entry in self._before.items() if key not in keys and entry.get("folder") in folders)
        return sorted({str(entry.get("name")) for entry in gone})

    def open(self, path: str, choice: Choice) -> Source:
        """Open a source, from its entry if the file is the same."""
        state = _state(path)
        if state is None:
            return open_source(path, choice, self.kept.decode)
        key, folder = _key(path), os.path.dirname(absolute(path))
        self._folders.add(folder)
        entry = self._before.get(key)
        if entry and entry.get("state") == state and entry.get("asked") == str(choice):
            with suppress(*INVALID, UnetprepError):
                source = _source_of(path, entry)
                self._now[key] = {**entry, "scans": dict(entry["scans"])}
                return source
        source = open_source(path, choice, self.kept.decode)
        if type(source).__name__ in CLASSES:
            about: Entry = {"axes": source.axes, "shape": list(source.file_shape), "dtype": source.dtype}
            about["more"] = source.more_values()
            where = {
                "folder": _key(folder),
                "name": name_of(source.stem, LABEL_ENDING, IMAGE_ENDING),
                "state": state,
                "asked": str(choice),
            }
            self._now[key] = {**where, "class": type(source).__name__, **about, "scans": {}}
        return source

    def get(self, source: Source, key: str, parse: Callable[[Entry], T]) -> T | None:
        """What was found in a source; None if it is not known."""
        with suppress(*INVALID):
            found = self._now[_key(source.path)]["scans"].get(key)
            return parse(found) if found else None
        return None

    def keep(self, source: Source, key: str, found: Entry) -> None:
        """Keep what was found in a source, if the file is still the one that was opened."""
        entry = self._now.get(_key(source.path))
        if entry and entry["state"] == _state(source.path):
            entry["scans"][key] = found
            self._is_new = True


def _source_of(path: str, entry: Entry) -> Source:
    """The source that an entry describes. Raises InvalidInput or one of INVALID if it describes none."""
    shape = tuple(entry["shape"])
    if not all(is_size(n) and n for n in shape):
        raise ValueError(shape)
    source = with_axes(
        CLASSES[entry["class"]](path, entry["axes"], shape, np.dtype(entry["dtype"]).name), entry["axes"]
    )
    source = source.with_values(entry["more"])
    refuse_dtype(source)
    check_shape(path, source.shape)
    return source


def _key(path: str) -> str:
    """Name of a file in the store, which does not give away its path."""
    return sha256(absolute(path).encode(errors="surrogateescape")).hexdigest()[:32]


def is_kept(parts: Sequence[Part]) -> bool:
    """Whether the first reading of these parts is worth a file in the store."""
    sources = [source for part in parts for source in (part.image, part.labels) if source is not None]
    pixels = sum(int(np.prod([b.stop - b.start for b in part.box])) for part in parts)
    return len(sources) >= FEWEST_SOURCES or pixels >= FEWEST_PIXELS


def _state(path: str) -> list[int] | None:
    """Size, times of change (ns) and number of a local file, which any writing changes; None for all others."""
    if is_url(path):
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


class KnownReading(FirstReading):
    """First reading that skips the sources whose values are known."""

    def __init__(self, known: KnownSources, num_threads: int = 1) -> None:
        super().__init__(known.kept, num_threads)
        self._known = known

    def in_stack(self, group: str, k: int, part: Part, params: ImportParams) -> tuple[LabelScan, Scan | None]:
        """The labels and the values of slice k of a stack."""
        keys = _label_key(part.box, params, "stack"), _image_key(part.box, params.dims, "stack")
        labels = self._known.get(part.labels, keys[0], _labels_of)
        pixels = self._known.get(part.image, keys[1], _scan_of) if part.image else None
        if labels and (pixels or not part.image):
            return labels, pixels
        seen, image = super().in_stack(group, k, part, params)
        self._known.keep(part.labels, keys[0], _label_entry(seen))
        if part.image and image:
            self._known.keep(part.image, keys[1], _entry(image))
        return seen, image

    def image(self, source: Source, box: Box, dims: int) -> Scan:
        """The values of an image."""
        key = _image_key(box, dims)
        if found := self._known.get(source, key, _scan_of):
            return found
        scan = super().image(source, box, dims)
        self._known.keep(source, key, _entry(scan))
        return scan

    def labels(self, source: Source, box: Box, params: ImportParams, pieces: bool) -> LabelScan:
        """The labels. Connected components are found anew: their label maps are not kept."""
        if pieces:
            return super().labels(source, box, params, pieces)
        key = _label_key(box, params)
        if found := self._known.get(source, key, _labels_of):
            return found
        seen = super().labels(source, box, params, pieces)
        self._known.keep(source, key, _label_entry(seen))
        return seen


def _image_key(box: Box, dims: int, *how: str) -> str:
    return " ".join(("image", *(f"{b.start}:{b.stop}" for b in box), str(dims), *how))


def _label_key(box: Box, params: ImportParams, *how: str) -> str:
    rule: tuple[object, ...] = (params.dims, params.numbers_components, params.connectivity, params.ignore_label)
    rule += (params.num_classes,) if params.labels_are_classes else ()
    rule += ("pieces",) if params.instances == "pieces" else ()
    rule += (f"above {params.label_threshold}",) if params.label_threshold is not None else ()
    return " ".join(("labels", *(f"{b.start}:{b.stop}" for b in box[1:]), *map(str, rule), *how))


def _entry(scan: Scan) -> Entry:
    robust = asdict(scan.robust) if scan.robust else None
    digests = {"digest": scan.digest, "shards": scan.shards.digests.hex()}
    return {"low": scan.low, "high": scan.high, **digests, "robust": robust}


def _scan_of(entry: Entry) -> Scan:
    robust = RobustRange(**entry["robust"]) if entry["robust"] else None
    shards = ShardDigests.of_all(bytes.fromhex(entry["shards"]))
    numbers = (entry["low"], entry["high"], *(entry["robust"] or {}).values())
    if not all(map(is_number, numbers)) or len(bytes.fromhex(entry["digest"])) != sha256().digest_size:
        raise ValueError(numbers)
    return Scan(entry["low"], entry["high"], entry["digest"], shards, robust)


def _label_entry(seen: LabelScan) -> Entry:
    looks = {"has_ignored": seen.has_ignored, "odd": seen.odd}
    return {**_entry(seen.scan), "ids": seen.ids.tolist(), "num_pieces": seen.num_pieces, **looks}


def _labels_of(entry: Entry) -> LabelScan:
    looks = bool(entry["has_ignored"]), str(entry["odd"])
    return LabelScan(_scan_of(entry), np.array(entry["ids"], np.int64), entry["num_pieces"], {}, *looks)
