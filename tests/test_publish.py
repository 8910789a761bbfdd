"""Publishing to a live Hub on this machine: one commit, then the tag; again nothing; never half of it."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_faults import Fault, cut_upload, lost_answer, status
from hub_server import RunningHub
from huggingface_hub import DatasetCard, HfApi, ModelCard, SpaceCard, snapshot_download
from huggingface_hub.hf_api import RepoFile
from PIL import Image
from published import OWNER, TOKEN, forget, other_network, photo, publish, tags
from served import running_app

from lwr.loading.priors import EMBEDDED
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.publish import main
from training.publishing.names import Names

REPO = "bob/lwr-dehaze"
Fetched = Callable[[str, str], Path]
MODELS = ["lwr", *(f"lwr-{task}" for task in TASKS)]


@pytest.fixture(scope="module")
def complete(running_hub: RunningHub, small_set: Path) -> RunningHub:
    """Everything at v1.0.0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        assert publish("all", "--dataset", str(small_set)) == 0
    return running_hub


@pytest.fixture(scope="module")
def fetched(complete: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """fetched(NAME, KIND): the folder of what was published at v1.0.0, fetched once; nobody changes it."""
    cache = tmp_path_factory.mktemp("fetched")
    return lambda name, kind: Path(
        snapshot_download(f"{OWNER}/{name}", repo_type=kind, revision="v1.0.0", cache_dir=cache)
    )


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    forget(monkeypatch, tmp_path / "cache")


@pytest.fixture
def bob(running_hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningHub]:
    """A Hub where bob, who is logged in, has published nothing, and nobody the adapter in `network`."""
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    HfApi().delete_repo(REPO, missing_ok=True)
    running_hub.hub.log.clear()
    yield running_hub
    running_hub.hub.faults.clear()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network whose dehaze adapter is like no other."""
    return other_network(tmp_path / "network", factor=time.time() % 1)


def publish_bobs(network: Path, version: str = "v1.0.0") -> int:
    words = ("adapter", "--task", "dehaze", "--prior", str(network))
    return publish(*words, version=version, namespace="bob")


def commits(repo: str, kind: str = "model") -> list[str]:
    return [commit.title for commit in HfApi().list_repo_commits(repo, repo_type=kind)]


def puts(hub: RunningHub) -> int:
    return sum(call.startswith("PUT ") for call in hub.hub.log)


def test_all_is_one_commit_and_a_tag_each(complete: RunningHub, small_set: Path) -> None:
    kinds = [(f"{OWNER}/{name}", "model") for name in MODELS]
    kinds += [(f"{OWNER}/lwr-multitask", "dataset"), (f"{OWNER}/lwr", "space")]
    for repo, kind in kinds:
        assert commits(repo, kind) == ["v1.0.0", "initial commit"] and tags(repo, kind) == {"v1.0.0"}
    sizes = [
        entry.size
        for entry in HfApi().list_repo_tree(f"{OWNER}/lwr", repo_type="space", recursive=True)
        if isinstance(entry, RepoFile)
    ]
    assert max(sizes) < 10_000_000 and len(sizes) > 60


def test_again_does_nothing_and_other_content_is_refused(
    complete: RunningHub, small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete.hub.log.clear()
    assert publish("all", "--dataset", str(small_set)) == 0
    assert not [call for call in complete.hub.log if "/commit/" in call or "/tag/" in call or "PUT" in call]
    other = other_network(tmp_path / "network", "deblur")
    assert publish("adapter", "--task", "deblur", "--prior", str(other)) == 1
    said = capsys.readouterr().err
    assert "alice/lwr-deblur v1.0.0 is published with other content (" in said
    assert "a version never changes" in said and "Traceback" not in said
    assert commits(f"{OWNER}/lwr-deblur") == ["v1.0.0", "initial commit"]
    assert publish("adapter", "--task", "deblur", "--prior", str(other), version="v1.0.1") == 0
    assert tags(f"{OWNER}/lwr-deblur") == {"v1.0.0", "v1.0.1"}


def test_a_version_replaces_all_files_of_the_last(bob: RunningHub, network: Path) -> None:
    assert publish_bobs(network) == 0
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="stray.txt", repo_id=REPO)
    assert publish_bobs(network, "v1.1.0") == 0
    there = HfApi().list_repo_files(REPO, revision="v1.1.0")
    assert "stray.txt" not in there and "adapter.json" in there


@pytest.mark.parametrize(
    ("call", "fault", "sentence"),
    [
        ("POST .*/commit/", status(503, retry_after=9), "The Hub is busy .status 503.*in 9 seconds"),
        ("POST .*/commit/", status(429), "The Hub is busy .status 429.*later"),
        ("POST .*/commit/", lost_answer(), "connection broke.*same command again"),
        ("POST .*/commit/", cut_upload(2000), "connection broke.*same command again"),
        ("POST .*/tag/", status(500), "The Hub is busy .status 500"),
        ("POST .*/tag/", lost_answer(), "connection broke.*same command again"),
        ("PUT ", status(400), "was refused"),
    ],
)
def test_an_interrupted_publication_goes_on(
    bob: RunningHub,
    network: Path,
    call: str,
    fault: Fault,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bob.hub.fail(call, fault)
    assert publish_bobs(network) == 1
    said = capsys.readouterr().err
    assert re.search(sentence, said) and "Traceback" not in said
    only_the_answer_was_lost = "tag" in call and "lost" in fault.__qualname__
    assert tags(REPO) == ({"v1.0.0"} if only_the_answer_was_lost else set())
    sent = puts(bob)
    assert publish_bobs(network) == 0
    assert tags(REPO) == {"v1.0.0"} and commits(REPO) == ["v1.0.0", "initial commit"]
    assert puts(bob) == sent + (call == "PUT ")  # what had arrived is not sent twice


def test_a_cut_upload_is_sent_again_and_never_half_kept(bob: RunningHub, network: Path) -> None:
    bob.hub.fail("PUT ", cut_upload(300_000))
    assert publish_bobs(network) == 0
    assert puts(bob) == 2 and tags(REPO) == {"v1.0.0"}
    assert not [path for path in (bob.hub.store.root / "lfs").iterdir() if path.suffix]


def test_a_killed_publication_goes_on(bob: RunningHub, network: Path) -> None:
    words = [
        "adapter",
        "--task",
        "dehaze",
        "--namespace",
        "bob",
        "--version",
        "v1.0.0",
        "--prior",
        str(network),
    ]
    child = subprocess.Popen([sys.executable, "-m", "training.publish", *words], stderr=subprocess.DEVNULL)
    while not puts(bob) and child.poll() is None:
        time.sleep(0.001)
    child.kill()
    child.wait()
    assert publish_bobs(network) == 0
    assert tags(REPO) == {"v1.0.0"} and commits(REPO) == ["v1.0.0", "initial commit"]


def test_a_space_waits_for_its_adapters(complete: RunningHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish("space", version="v3.0.0") == 1
    assert "must be published before" in capsys.readouterr().err
    assert tags(f"{OWNER}/lwr", "space") == {"v1.0.0"}


def test_tokens(
    running_hub: RunningHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    subtests: pytest.Subtests,
) -> None:
    for token, sentence in (
        ("", "You are not logged in"),
        ("hf_not_known", "does not know your token"),
        ("hf_alice_read", "may only read"),
        ("hf_bob", "logged in as bob and may not publish for alice"),
    ):
        with subtests.test(token=token, sentence=sentence):
            monkeypatch.setenv("HF_TOKEN", token)
            assert publish("adapter", "--task", "dehaze") == 1
            said = "".join(capsys.readouterr())
            assert sentence in said and "Traceback" not in said and (not token or token not in said)


def test_wrong_usage(capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests) -> None:
    for words, sentence in (
        (["prior", "--version", "1.0.0"], "'1.0.0' is no version"),
        (["prior", "--version", "v01.0.0"], "is no version"),
        (["prior", "--namespace", "a/b"], "cannot be a namespace"),
        (["prior", "--namespace", "a b"], "cannot be a namespace"),
        (["prior", "--prior", "/nowhere"], "no network in /nowhere"),
        (["dataset", "--dataset", "/nowhere"], "no finished dataset in /nowhere"),
        (["space", "--task", "dehaze"], "--task goes with 'adapter' only"),
    ):
        with subtests.test(words=words, sentence=sentence):
            usual = {"--namespace": OWNER, "--version": "v1.0.0"}
            more = [text for name, value in usual.items() if name not in words for text in (name, value)]
            assert main([*words, *more, "--dry-run"]) == 2
            assert sentence in capsys.readouterr().err


def test_a_damaged_set_is_not_published(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(small_set, folder)
    shard = next(folder.rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert publish("dataset", "--dataset", str(folder)) == 2
    assert "not as the set was built" in capsys.readouterr().err


def test_a_dry_run_writes_what_is_published(
    complete: RunningHub, fetched: Fetched, small_set: Path, tmp_path: Path
) -> None:
    words = ("all", "--dataset", str(small_set), "--dry-run", "--out", str(tmp_path / "dry"))
    complete.hub.log.clear()
    for _ in range(2):  # a second one replaces the first
        assert publish(*words) == 0
    assert not complete.hub.log
    places = [("models", name, "model") for name in MODELS]
    for folder, name, kind in [*places, ("datasets", "lwr-multitask", "dataset"), ("spaces", "lwr", "space")]:
        dry = tmp_path / "dry" / "v1.0.0" / folder / OWNER / name
        there = fetched(name, kind)
        ours = {str(p.relative_to(dry)): p.read_bytes() for p in dry.rglob("*") if p.is_file()}
        theirs = {str(p.relative_to(there)): p.read_bytes() for p in there.rglob("*") if p.is_file()}
        assert ours == {name: data for name, data in theirs.items() if name != ".gitattributes"}


def test_a_dry_run_leaves_other_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "v1.0.0" / "models" / OWNER / "lwr-dehaze" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert publish("adapter", "--dry-run", "--out", str(tmp_path), "--task", "dehaze") == 1
    assert "not from a dry run" in capsys.readouterr().err and mine.read_text() == "mine"


def test_cards_have_valid_metadata(complete: RunningHub) -> None:
    cards = [(ModelCard, f"{OWNER}/{name}", "model") for name in MODELS]
    cards += [(DatasetCard, f"{OWNER}/lwr-multitask", "dataset"), (SpaceCard, f"{OWNER}/lwr", "space")]
    for kind, repo, name in cards:
        card = kind.load(repo)
        card.validate(repo_type=name)
        assert card.data.license
    card = ModelCard.load(f"{OWNER}/lwr")
    prior, folders = card.data, {path.split("/")[0] for path in HfApi().list_repo_files(f"{OWNER}/lwr")}
    assert (prior.pipeline_tag, prior.library_name) == ("image-to-image", "lwr")
    assert all(f"`{name}`" in card.text for name in ("unet", "vae", "scheduler") if name in folders)
    adapter = ModelCard.load(f"{OWNER}/lwr-super-resolution").data
    assert (adapter.base_model, adapter.base_model_relation) == (f"{OWNER}/lwr", "adapter")
    results = json.loads((Path("training") / "results" / "evaluate.json").read_text())
    validation = [one for one in adapter.eval_results if one.dataset_type.startswith("validation-")]
    measured = {one.metric_type: one.metric_value for one in validation}
    (index,) = prior.to_dict()["model-index"]
    rows = [(row["dataset"]["type"], [one["type"] for one in row["metrics"]]) for row in index["results"]]
    sets = ("validation-photographs", "lwr-multitask")  # and the test split of our own dataset
    assert rows == [(f"{name}-{task}", ["psnr", "ssim", "lpips"]) for name in sets for task in TASKS]
    row = results["scores"][f"super-resolution|super-resolution|fidelity {results['default_fidelity']:g}"]
    assert measured == {name: row[f"{name}_output"] for name in ("psnr", "ssim", "lpips")}
    space = SpaceCard.load(f"{OWNER}/lwr").data
    needed = Path("requirements.txt").read_text().splitlines()
    assert space.sdk == "gradio" and f"gradio[mcp]=={space.sdk_version}" in needed
    assert space.models == [f"{OWNER}/{name}" for name in MODELS]


def test_the_page_of_a_space_links_to_what_is_there(fetched: Fetched) -> None:
    links = json.loads((fetched("lwr", "space") / "page" / "published.json").read_text())
    assert [one["repo"] for one in links] == [f"{OWNER}/{name}" for name in (*MODELS, "lwr-multitask")]
    kinds = ["dataset" if "/datasets/" in one["url"] else "model" for one in links]
    assert all(
        HfApi().repo_exists(one["repo"], repo_type=kind) for one, kind in zip(links, kinds, strict=True)
    )
    assert all(one["url"].endswith(f"{one['repo']}/tree/v1.0.0") for one in links)
    alone = Names(OWNER, "v1.0.0", frozenset({("model", f"{OWNER}/lwr-deblur")})).links(TASKS)
    assert [one["what"] for one in alone] == ["Adapter: deblur"]


@pytest.mark.parametrize("name", ["lwr", "lwr-deblur", "lwr-multitask"])
def test_the_lines_in_a_card_run(
    fetched: Fetched, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "dataset" if name == "lwr-multitask" else "model"
    there = fetched(name, kind)
    photo(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(snippet(there / "README.md"), {})
    if kind == "model":
        assert Image.open(tmp_path / "restored.png").size == (96, 96)


def snippet(card: Path) -> str:
    """The first lines of Python in a card."""
    return re.search(r"```python\n(.*?)```", card.read_text(), re.DOTALL)[1]


def test_a_published_space_starts_alone(
    complete: RunningHub, fetched: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "space"
    shutil.copytree(fetched("lwr", "space"), folder)
    shutil.rmtree(folder / "lwr" / "embedded" / "adapters")  # so that only the Hub's will do
    own = {"HF_HUB_CACHE": str(tmp_path / "new"), "HF_TOKEN": ""}
    complete.hub.log.clear()
    with running_app(tmp_path, folder, own) as address:
        assert not [call for call in complete.hub.log if "/lwr-" in call]
        complete.hub.hosts[f"{OWNER}/lwr"] = address  # so that its card's lines find it by name
        picture, values = photo(tmp_path / "photo.jpg"), {}
        monkeypatch.chdir(tmp_path)
        exec(snippet(folder / "README.md"), values)
    settings, file = values["settings"], values["file"]
    assert settings["adapters"] == {"dehaze": f"{OWNER}/lwr-dehaze@v1.0.0"}
    assert not [call for call in complete.hub.log if "lwr-deblur" in call]
    ours = Restorer.load(device="cpu")(picture, "remove the haze")
    assert Image.open(file).tobytes() == ours.image.tobytes()


def test_task_files_are_pinned_in_the_space_and_nowhere_else(fetched: Fetched) -> None:
    there = fetched("lwr", "space")
    for task in TASKS:
        name = f"lwr/tasks/{task.replace('-', '_')}.py"
        assert f'adapter="{OWNER}/lwr-{task}@v1.0.0",' in (there / name).read_text()
        assert OWNER not in (EMBEDDED.parents[1] / name).read_text()


def test_a_deleted_tag_comes_back_to_its_commit(bob: RunningHub, network: Path) -> None:
    api = HfApi()
    assert publish_bobs(network) == 0
    first = api.model_info(REPO).sha
    assert publish_bobs(other_network(network.parent / "next", factor=0.1), "v2.0.0") == 0
    second = api.model_info(REPO).sha
    api.delete_tag(REPO, tag="v1.0.0")
    assert publish_bobs(network) == 0
    assert api.model_info(REPO, revision="v1.0.0").sha == first and api.model_info(REPO).sha == second


def test_two_publishers_of_the_same(bob: RunningHub, network: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(lambda _: publish_bobs(network), range(2)))
    assert 0 in ended and tags(REPO) == {"v1.0.0"}
    assert publish_bobs(network) == 0 and commits(REPO) == ["v1.0.0", "initial commit"]


def test_cards_name_only_what_is_published(
    running_hub: RunningHub, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    monkeypatch.setattr("training.publish.DATASET", tmp_path / "none")
    words = ("--prior", str(network), "--dry-run", "--out", str(tmp_path / "dry"))
    assert publish("all", *words, namespace="bob") == 0
    folder = tmp_path / "dry" / "v1.0.0"
    assert (folder / "models/bob/lwr/README.md").read_text().count("bob/lwr-deblur") > 1
    for card in folder.rglob("README.md"):
        assert "bob/lwr-multitask" not in card.read_text(), card
    shutil.rmtree(folder)
    assert publish("prior", *words, namespace="bob") == 0
    assert not re.search("bob/lwr-|spaces/bob", (folder / "models/bob/lwr/README.md").read_text())
    HfApi().create_repo("bob/lwr-multitask", repo_type="dataset", exist_ok=True)
    HfApi().delete_repo(REPO, missing_ok=True)
    assert publish_bobs(network) == 0
    card = ModelCard.load(REPO)
    assert card.data.datasets == ["bob/lwr-multitask"] and "spaces/bob" not in card.text
    HfApi().delete_repo("bob/lwr-multitask", repo_type="dataset")


def test_a_network_without_published_adapters_uses_the_shipped_ones(
    bob: RunningHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish("prior", version="v1.0.0", namespace="bob") == 0
    assert "names bob/lwr-dehaze@v1.0.0, which is not published yet" in capsys.readouterr().err
    restored = Restorer.load("bob/lwr", revision="v1.0.0", device="cpu")(photo(tmp_path / "p.png"), "dehaze")
    assert "was used instead" in restored.notes[0]
    assert restored.settings.adapters["dehaze"].startswith("embedded/dehaze@")
