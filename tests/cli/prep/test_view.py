"""`unetprep view`: what it prints, and how it ends."""

import json
import signal
import threading
import webbrowser
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.cli.conftest import Run


class Ends:
    """In place of the event that never comes: the page is looked at, and a signal arrives."""

    number, opened = signal.SIGINT, ""

    def wait(self) -> None:
        with urlopen(Ends.opened, timeout=30) as page:
            assert page.status == 200
        signal.raise_signal(Ends.number)


@pytest.fixture(autouse=True)
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(url: str) -> bool:
        Ends.opened = url
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("unetcli.prep.view.threading", type("Module", (), {"Event": Ends, "Thread": threading.Thread}))


def test_a_page_is_opened_and_served_until_ctrl_c(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    monkeypatch.setattr(Ends, "number", signal.SIGINT)
    said = run("unetprep view ds.zarr")
    assert said.stdout == f"img: image, labels\n-> {Ends.opened}\n"
    assert said.stderr == "Ctrl-C ends it\n"
    with pytest.raises(URLError, match="refused"):
        urlopen(Ends.opened, timeout=30)
    found = json.loads(run("unetprep view ds.zarr --prediction labels.tif --json").stdout)
    assert found["url"] == Ends.opened
    assert found["layers"] == ["image", "labels", "prediction"]
    monkeypatch.setattr(Ends, "number", signal.SIGTERM)
    run("unetprep view ds.zarr", 75)
    assert "holds no image 'nobody'" in run("unetprep view ds.zarr --image nobody", 3).stderr


def test_without_a_graphical_browser_the_address_is_printed(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    monkeypatch.setattr(Ends, "wait", lambda self: signal.raise_signal(signal.SIGINT))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a browser was opened"))
    monkeypatch.setattr("sys.platform", "linux")
    assert "no browser was found" in run("unetprep view ds.zarr").stderr
    said = run("unetprep view ds.zarr --no-browser --quiet")
    assert said.stderr == ""
    assert "-> http://127.0.0.1:" in said.stdout
