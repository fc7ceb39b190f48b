"""No command reads a missing, cut, unfinished or altered part of a store as if nothing were wrong with it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from tests.synthetic import cell_image, cell_labels
from unetcli.prep import main as prep
from unetcli.train import main as train
from unetprep.store import Store

MAKE = (
    "unetprep import --image img.tif --labels labels.tif --out ds.zarr --test-fraction 0.4",
    "unetprep weights --out ds.zarr",
    "unetprep deform --out ds.zarr --fields 5",
    "unetprep tiles --out ds.zarr --depth 1 --tile 40 --margin 30",
    "unettrain fit ds.zarr --run run --base-channels 2 --steps 1 --threads 1",
)
TEST, TRAIN = "images/img-test", "images/img-train"
LABELS, TARGET = "labels/instances/instances", "labels/target/target"
READ_BY = {  # command: the arrays that it cannot do without
    f"unettrain evaluate p.npy ds.zarr/{TEST}": [f"{TEST}/{LABELS}"],
    f"unettrain evaluate ds.zarr/{TEST}/labels/target labels.npy": [f"{TEST}/{TARGET}"],
    f"unettrain predict run ds.zarr/{TEST} --out q.npy --threads 1": [f"{TEST}/image"],
    "unettrain fit ds.zarr --run new --base-channels 2 --steps 1 --threads 1": [
        *(f"tiles/{name}" for name in ("image", "target", "weights", "split")),
        "fields/grids",
    ],
    "unettrain report run": [f"{TEST}/image", f"{TEST}/{LABELS}", f"{TRAIN}/weights", "tiles/image", "fields/grids"],
    "unetprep preview ds.zarr --out p.png --image img-test": [
        *(f"{TEST}/{name}" for name in ("image", LABELS, TARGET, "weights", "labels/target/class_counts")),
    ],
    "unetprep preview ds.zarr --out f.png --fields": ["fields/grids"],
    "unetprep weights --out ds.zarr --overwrite": [f"{TRAIN}/{LABELS}"],
    "unetprep tiles --out ds.zarr --depth 1 --tile 40 --margin 30 --overwrite": [
        *(f"{TRAIN}/{name}" for name in ("image", TARGET, "weights")),
    ],
    "unetprep relabel ds.zarr --labels labels.tif": [f"{TRAIN}/{LABELS}"],
    "unetprep lint ds.zarr": [f"{TEST}/{LABELS}"],
    f"unetprep import --image ds.zarr/{TEST} --labels ds.zarr/{TEST}/labels/instances --out other.zarr": [
        f"{TEST}/image",
        f"{TEST}/{LABELS}",
    ],
}


def invoke(line: str) -> tuple[int, str]:
    """Exit code and output of a command line. What is no error of ours is raised."""
    program, *words = line.split()
    done = CliRunner().invoke({"unetprep": prep.main, "unettrain": train.main}[program], words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished store, a run, and what else the commands need."""
    folder = tmp_path_factory.mktemp("finished")
    labels = cell_labels((100, 60), 25)
    tifffile.imwrite(folder / "labels.tif", labels)
    tifffile.imwrite(folder / "img.tif", cell_image(labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in MAKE:
            code, said = invoke(line)
            assert code == 0, (line, said)
        shape = Store.open("ds.zarr").shards(f"{TEST}/{LABELS}").shape
    np.save(folder / "p.npy", np.zeros(shape, np.float32))
    np.save(folder / "labels.npy", labels[-shape[1] :].astype(np.int32)[None])
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working directory."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def shards_of(array: Path) -> list[Path]:
    return [path for path in (array / "c").rglob("*") if path.is_file()]


def delete_shards(store: Path, path: str) -> None:
    for shard in shards_of(store / path):
        shard.unlink()


def cut_shards(store: Path, path: str) -> None:
    for shard in shards_of(store / path):
        shard.write_bytes(shard.read_bytes()[:-9])


def mark_unfinished(store: Path, path: str) -> None:
    Store(str(store)).set_complete(path, False)


def alter_document(store: Path, path: str) -> None:
    document = store / path / "zarr.json"
    changed, count = re.subn(r'"kernel_version": \d+', '"kernel_version": 7', document.read_text())
    assert count == 1
    document.write_text(changed)


DAMAGE = (delete_shards, cut_shards, mark_unfinished, alter_document)


@pytest.mark.parametrize("line", READ_BY)
def test_what_is_read_is_complete_and_intact(folder: Path, line: str, tmp_path: Path) -> None:
    for number, path in enumerate(READ_BY[line]):
        for damage in DAMAGE:
            with pytest.MonkeyPatch.context() as patch:
                place = tmp_path / f"{number}-{damage.__name__}"
                shutil.copytree(folder, place)
                patch.chdir(place)
                damage(place / "ds.zarr", path)
                code, said = invoke(line)
            assert code in (1, 3), (damage.__name__, path, said)
            assert path in said, (damage.__name__, path, said)
            assert "to do:" in said, (damage.__name__, path, said)


def test_every_command_of_the_table_succeeds_on_the_intact_store(folder: Path) -> None:
    for line in READ_BY:
        code, said = invoke(line)
        assert code == 0 or "lint" in line, (line, said)


@pytest.mark.parametrize(
    ("line", "document", "change"),
    [
        (f"unettrain predict run ds.zarr/{TEST} --out q.npy", TEST, ("        255.0\n", "        251.0\n")),
        ("unettrain report run", TEST, ('"split": "test"', '"split": "val"')),
        ("unettrain fit ds.zarr --run new --steps 1", "tiles", ('"margin": 30', '"margin": 31')),
        ("unettrain fit ds.zarr --run new --steps 1", "", ('"format_version": 2', '"format_version": 2 ,"x":0')),
        ("unetprep tiles --out ds.zarr --overwrite", TRAIN, ('"split": "train"', '"split": "val"')),
        ("unetprep weights --out ds.zarr --overwrite", "images", ('"img-train"', '"img-drain"')),
        ("unetprep info ds.zarr", "", ('"software": "', '"software": "x')),
    ],
)  # fmt: skip
def test_attributes_of_groups_are_not_used_where_the_checksum_does_not_fit(
    folder: Path, line: str, document: str, change: tuple[str, str]
) -> None:
    file = folder / "ds.zarr" / document / "zarr.json"
    text = file.read_text()
    assert change[0] in text, text
    file.write_text(text.replace(*change))
    code, said = invoke(line)
    assert code in (1, 3)
    assert f"{document}/zarr.json".lstrip("/") in said
    assert "checksum does not match" in said
    assert "unetprep verify" in said


def test_a_damaged_array_is_named_by_info_and_made_anew_with_overwrite(folder: Path) -> None:
    alter_document(folder / "ds.zarr", f"{TEST}/weights")
    assert "damaged" in invoke("unetprep info ds.zarr")[1]
    code, said = invoke("unetprep weights --out ds.zarr")
    assert code == 3
    assert f"{TEST}/weights/zarr.json of ds.zarr: its checksum does not match" in said
    assert invoke("unetprep weights --out ds.zarr --overwrite")[0] == 0
    assert invoke("unetprep verify ds.zarr")[0] == 0


def test_scores_against_a_stale_array_are_refused(folder: Path) -> None:
    store = Store("ds.zarr")
    store.update_record(f"{TEST}/{LABELS}", fingerprint="0" * 64)
    code, said = invoke(f"unettrain evaluate ds.zarr/{TEST}/labels/target labels.npy")
    assert code == 3
    assert "have been replaced since" in said


AS_JSON: dict[str, Callable[[str], str]] = {
    "list": lambda text: "[]",
    "number": lambda text: "5",
    "null": lambda text: "null",
    "text": lambda text: '"a"',
    "deep": lambda text: "[" * 100_000,
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "attributes": lambda text: re.sub(r'"attributes": \{.*\},\n  "z', '"attributes": [3],\n  "z', text, flags=re.S),
    "ours": lambda text: re.sub(r'"unetprep": \{.*?\n    \}', '"unetprep": null', text, flags=re.S),
    "shape": lambda text: re.sub(r'"shape": \[[^\]]*\]', '"shape": {"a": 1}', text),
    "chunks": lambda text: re.sub(r'"chunk_shape": \[[^\]]*\]', '"chunk_shape": [0]', text),
    "codecs": lambda text: re.sub(r'"codecs": \[.*\n  \]', '"codecs": 5', text, flags=re.S),
    "type": lambda text: re.sub(r'"data_type": "\w+"', '"data_type": [1]', text),
}  # fmt: skip


@pytest.mark.parametrize("kind", AS_JSON)
def test_a_document_of_another_type_than_expected_is_one_error(folder: Path, kind: str) -> None:
    lines = [
        f"unettrain evaluate p.npy ds.zarr/{TEST}",
        f"unettrain predict run ds.zarr/{TEST} --out q.npy",
        "unettrain fit ds.zarr --run new --base-channels 2 --steps 1 --threads 1",
        "unetprep info ds.zarr",
        "unetprep verify ds.zarr",
        "unetprep preview ds.zarr --out p.png",
    ]
    read = ("", "images", TEST, f"{TEST}/image", f"{TEST}/labels/instances", f"{TEST}/{LABELS}", "tiles", "tiles/split")
    num_changed = 0
    for path in read:
        file = folder / "ds.zarr" / path / "zarr.json"
        text = file.read_text()
        file.write_text(AS_JSON[kind](text))
        if file.read_text() != text:
            num_changed += 1
            found = [invoke(line) for line in lines]
            assert all(
                code == 0 or "error:" in said or "verify" in line
                for line, (code, said) in zip(lines, found, strict=True)
            )
            assert any(code for code, _ in found), (path, found)
        file.write_text(text)
    assert num_changed >= 3


def test_foreign_zarr_may_leave_out_chunks_and_warns_where_it_has_none(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import zarr

    labels = np.asarray(np.load("labels.npy"))
    labels[:, :20] = 0
    zarr.create_array("some.zarr", data=labels, chunks=(1, 10, 10))
    zarr.create_array("none.zarr", data=np.zeros_like(labels), chunks=(1, 10, 10))
    assert invoke("unettrain evaluate labels.npy some.zarr")[0] == 0
    assert not caplog.records
    assert invoke("unettrain evaluate labels.npy none.zarr")[0] == 0
    assert "none.zarr holds no chunk" in caplog.text
