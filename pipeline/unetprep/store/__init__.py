"""The Zarr v3 store at a path or URL: arrays, completeness, provenance and OME-Zarr metadata."""

from unetprep.store.store import Store as Store
