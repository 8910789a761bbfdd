"""What must not be published: damaged networks, adapters of others, strangers in folders, broken results."""

import json
import shutil
import time
from pathlib import Path

import pytest
from published import other_network, publish

from training.publishing.results import FOLDER


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network whose dehaze adapter is like no other."""
    return other_network(tmp_path / "network", factor=time.time() % 1)


def changed(folder: Path, name: str, content: bytes | None) -> Path:
    """The network's folder with one file of other content, or without it."""
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("what", "name", "content", "sentence"),
    [
        ("prior", "encoder.safetensors", None, "is damaged"),
        ("prior", "encoder.safetensors", b"x" * 100, "is damaged"),
        ("prior", "restoration.json", b"{}", "is damaged"),
        ("prior", "prior.json", b"{bad", "prior.json is missing or damaged"),
        ("prior", "prior.json", b'{"unknown": 1}', "prior.json is missing or damaged"),
        ("space", "sft.safetensors", None, "is damaged"),
        ("adapter", "adapters/deblur/adapter_config.json", None, "adapter_config.json is missing or damaged"),
        ("adapter", "adapters/deblur/adapter_model.safetensors", b"x", "is damaged"),
        ("adapter", "adapters/deblur/adapter.json", b"{}", "adapter.json is damaged"),
    ],
)
def test_a_damaged_network_is_refused(
    network: Path,
    what: str,
    name: str,
    content: bytes | None,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed(network, name, content)
    assert publish(what, "--prior", str(network), "--dry-run", "--out", str(network / "dry")) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said and not (network / "dry").exists()


def test_an_adapter_of_another_network_is_refused(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = json.loads((network / "adapters/deblur/adapter.json").read_text())
    (network / "adapters/deblur/adapter.json").write_text(json.dumps(metadata | {"prior_revision": "0.0.1"}))
    assert publish("adapter", "--prior", str(network), "--dry-run") == 2
    assert "trained on embedded@0.0.1, and the network beside it is" in capsys.readouterr().err


def test_strangers_in_the_folders_stay_here(network: Path, small_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(small_set, folder)
    for place in (network, network / "vae", network / "adapters" / "deblur", folder):
        (place / "link").symlink_to("/etc/hostname")
        (place / "notes.txt").write_text("private")
    out = tmp_path / "dry"
    words = ("--prior", str(network), "--dataset", str(folder), "--dry-run", "--out", str(out))
    assert publish("all", *words) == 0
    assert not [p for p in out.rglob("*") if p.name in ("link", "notes.txt") and "vae" not in p.parts]
    assert not list(out.rglob("link"))
    shutil.copy(next(folder.rglob("train-*.parquet")), folder / "data/dehaze/train-00009-of-00010.parquet")
    assert publish("dataset", *words) == 2


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
@pytest.mark.parametrize("name", ["evaluate.json", "training.json", "benchmark.json"])
def test_damaged_results_are_one_sentence(
    name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shutil.copytree(FOLDER, results)
    (results / name).write_text(content)
    status = publish("prior", "--results", str(results), "--dry-run", "--out", str(tmp_path / "dry"))
    said = capsys.readouterr().err
    assert "Traceback" not in said and (status == 0 or (status == 2 and "measure again" in said))
    assert status == 0 or content != "{}"  # an empty file is as none


def test_no_results_at_all_leave_the_numbers_out(tmp_path: Path) -> None:
    assert publish("all", "--results", str(tmp_path), "--dry-run", "--out", str(tmp_path / "dry")) == 0


def test_a_missing_adapter_is_named(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(network / "adapters" / "deblur")
    words = ("--prior", str(network), "--dry-run", "--out", str(tmp_path / "dry"))
    assert publish("adapter", *words) == 0
    assert "has no adapter for 'deblur': left out" in capsys.readouterr().err
    assert publish("space", *words) == 2
    assert "offers the task 'deblur'" in capsys.readouterr().err
