"""Readers of images and labels: TIFF, PNG, JPEG, BMP, .npy and Zarr; single files and folders."""

from unetprep.sources.opening import open_source as open_source
from unetprep.sources.pairing import expand as expand
from unetprep.sources.pairing import open_labels as open_labels
from unetprep.sources.source import Source as Source
