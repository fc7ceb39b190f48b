"""Headless Chromium, for tests of pages; they are skipped where it is not installed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader", "--use-gl=angle",
    "--use-angle=swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@contextmanager
def browsing(url: str, profile: Path, size: tuple[int, int]) -> Iterator[None]:
    """Show a page in a window of `size` (width, height) pixels until the block ends; `profile` is a new folder."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    options = (*OPTIONS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}")
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen([CHROMIUM, *options, url], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
