"""Summary of a store's contents as plain values."""

from typing import Any

from unetprep.format.layout import (
    CUT,
    FOLDING,
    FORMAT_VERSION,
    GRIDS,
    TILES,
    image_path,
    labels_path,
    pixels_path,
    weights_path,
)
from unetprep.stages.from_provenance import tiles_parameters
from unetprep.store import Store


def describe(url: str) -> dict[str, Any]:
    """Images, fields and tiles of a store, and the state of each array: finished, unfinished, stale or missing.

    Raises InvalidInput if there is no store of this format.
    """
    store = Store.open(url)
    return {
        "store": url,
        "format_version": FORMAT_VERSION,
        "images": [_image(store, name) for name in store.names],
        "fields": _fields(store),
        "tiles": _tiles(store),
    }


def _array(store: Store, path: str) -> dict[str, Any]:
    if (state := store.state(path)) in ("missing", "damaged"):
        return {"state": state}
    record = store.record(path)
    array = store.shards(path)
    return {
        "state": state,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "stored_bytes": store.stored_bytes(path),
        "parameters": record.get("parameters", {}),
    }


def _fields(store: Store) -> dict[str, Any]:
    """With the share of the fields that fold somewhere, and the greatest share of a tile at which one does."""
    found = _array(store, GRIDS)
    if store.state(FOLDING) == "finished":
        shares = store.read_all(FOLDING)
        found |= {"folding_fields": float((shares > 0).mean()), "most_folded": float(shares.max())}
    return found


def _image(store: Store, name: str) -> dict[str, Any]:
    record = store.record(image_path(name))
    paths = {
        "image": pixels_path(name),
        "instances": labels_path(name, "instances"),
        "target": labels_path(name, "target"),
        "weights": weights_path(name),
    }
    arrays = {key: _array(store, path) for key, path in paths.items()}
    return {
        "name": name,
        **{key: record.get(key) for key in ("split", "dims", "intensity", "spacing", "unit", "source")},
        "arrays": arrays,
    }


def _tiles(store: Store) -> dict[str, Any]:
    is_virtual = "index_only" in tiles_parameters(store)
    found = _array(store, CUT if is_virtual else f"{TILES}/image")
    if found["state"] not in ("missing", "damaged"):
        found |= {"parameters": tiles_parameters(store)}
    geometry = store.record(TILES)
    return {**found, **{key: geometry[key] for key in ("tile", "output", "margin", "depth") if key in geometry}}
