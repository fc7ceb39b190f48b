"""Public data sets: manifests, downloads, and comparison of local files with their manifests."""

from unetprep.fetching.checking import verify_local as verify_local
from unetprep.fetching.data_set import Manifest as Manifest
from unetprep.fetching.digests import pixel_digest as pixel_digest
from unetprep.fetching.fetcher import Fetched as Fetched
from unetprep.fetching.fetcher import fetch as fetch
from unetprep.fetching.manifests import datasets as datasets
from unetprep.fetching.manifests import manifest_names as manifest_names
from unetprep.fetching.manifests import read_manifest as read_manifest
