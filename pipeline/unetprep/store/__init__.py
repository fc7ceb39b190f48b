"""The Zarr v3 store on a disk or behind a URL: opening it, its arrays, what is finished, its OME-Zarr metadata."""

from unetprep.store.store import Store as Store
