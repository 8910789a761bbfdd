"""The smaller network's repository: its files, and a card that says how it was made and measured."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from lite import NAME, make_lite
from published import OWNER, publish
from test_cards import MEASUREMENT, prose, strangers

from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.publishing import light
from training.publishing.cards import lite_card
from training.publishing.errors import PublishError
from training.publishing.names import Names
from training.publishing.results import Results

NAMES = Names(OWNER, "v1.0.0", network="lwr-lite")
HOW = {
    "from": "lwr/embedded", "how": "taylor", "ratio": 0.5, "decoder": False,
    "parameters": [16_272_456, 10_367_544], "recovery": {"minutes": 29.5, "photos": 818},
    "teacher": "embedded@0.7.1", "bits": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_lite(tmp_path_factory.mktemp("lite") / "embedded_lite")
    (folder / light.MADE).write_text(json.dumps(HOW))
    return folder


def measured(folder: Path, weights: str) -> Results:
    """Results of the light benchmark, as it writes them."""
    score = {"psnr_output": 25.123, "lpips_output": 0.2345, "photos": 48}
    row = {
        "parameters": {"network": 16_270_000, "adapter": 950_000}, "gmacs": 28.76,
        "megabytes": {"network": 32.6, "adapters": 13.7}, "peak_gb": 0.81,
        "seconds": {"1": {"median": 1.234}, "2": {"median": 0.876}}, "quality": dict.fromkeys(TASKS, score),
    }  # fmt: skip
    costs = {"command": "python -m training.benchmarks.light", "machine": "2 cores, Some CPU"}
    rows = {"embedded": row, NAME: row | {"weights": weights}}
    (folder / "light.json").write_text(json.dumps({"variants": {"costs": costs, "rows": rows}}))
    return Results(folder)


def card(network: Path, results: Results) -> str:
    return lite_card(NAMES, network, list(TASKS), results)


def test_the_card_says_how_it_was_made_and_measured(network: Path, tmp_path: Path) -> None:
    results = measured(tmp_path, light.weights_of(network))
    text = card(network, results)
    for fact in (
        "removal changes the training loss least",
        "Share of them that went: 50%",
        "16.27 million before, 10.37 million after",
        "runs only at fidelities below 0.5",
        "does: embedded@0.7.1.",
        "minutes 29.5, photos 818",
        "stored in 8 bits",
        "| embedded-lite | 16.27 M | 28.8 | 46.3 | 1.23 (1), 0.88 (2) | 0.81 |",
        "| dehaze | 48 | 25.12 | 25.12 | 0.234 | 0.234 |",
        "2 cores, Some CPU",
    ):
        assert fact in text, fact
    assert len(MEASUREMENT.findall(prose(text))) > 20 and not strangers(text, results.given)
    data = ModelCard(text).data.to_dict()
    assert data["base_model"] == f"{OWNER}/lwr" and data["license"] == "apache-2.0"


def test_measurements_of_other_weights_are_left_out(network: Path, tmp_path: Path) -> None:
    text = card(network, measured(tmp_path, "other"))
    assert "This version has not been measured." in text and "Some CPU" not in text
    assert "This version has not been measured." in card(network, Results(tmp_path / "none"))


def test_a_network_that_does_not_say_how_it_was_made(network: Path, tmp_path: Path) -> None:
    shutil.copytree(network, tmp_path / "silent")
    (tmp_path / "silent" / light.MADE).unlink()
    assert "Its folder does not say" in card(tmp_path / "silent", Results(tmp_path))
    for damaged in ("{", "[]", '{"ratio": "half"}', '{"parameters": 5}'):
        (tmp_path / "silent" / light.MADE).write_text(damaged)
        with pytest.raises(PublishError, match=r"made\.json is damaged"):
            card(tmp_path / "silent", Results(tmp_path))


def test_it_is_published_with_its_adapters_beside_the_larger_one(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--prior", str(network), "--dry-run", "--out", str(tmp_path))
    assert publish("prior", *words) == 0
    folder = tmp_path / "v1.0.0" / "models" / OWNER / "lwr-lite"
    assert capsys.readouterr().out == f"{folder}\n"
    restorer = Restorer.load(folder, device="cpu")
    assert restorer.network.prior.config.id == NAME
    assert all(restorer.adapters.of(task).metadata.prior == NAME for task in TASKS)
    assert f'Restorer.load("{OWNER}/lwr-lite", revision="v1.0.0"' in (folder / "README.md").read_text()
    assert (folder / "LICENSE").exists() and (folder / light.MADE).exists()
    for what in ("adapter", "space", "all"):
        assert publish(what, *words) == 2
        assert "publish it with 'prior'" in capsys.readouterr().err
