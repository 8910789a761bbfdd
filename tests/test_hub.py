"""Adapters, priors and datasets from a live Hub on this machine, through the unmodified client libraries."""

import json
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import torch
from datasets import load_dataset
from diffusers import AutoencoderKL, UNet2DConditionModel
from hub_faults import Fault, altered, cut_download, status, truncated
from hub_server import RunningHub
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from limits import full_disk
from peft import PeftConfig
from published import OWNER, TOKEN, forget, other_network, photo, publish
from typer.testing import CliRunner

from lwr.cli import app
from lwr.loading.adapter import Adapter, AdapterError, adapter_memory, remembered
from lwr.loading.adapter_choice import AdapterChoice
from lwr.loading.hub import DamagedError, HubError, Pin, fetch
from lwr.loading.priors import EMBEDDED, PriorError
from lwr.restore import Restorer
from lwr.tasks import TASKS

DEHAZE = f"{OWNER}/lwr-dehaze"
WEIGHTS = r"GET /_lfs/"  # the call that brings a large file


@pytest.fixture(scope="module")
def hub(running_hub: RunningHub, tmp_path_factory: pytest.TempPathFactory, small_set: Path) -> RunningHub:
    """Everything at v1.0.0, and a weaker dehaze adapter at v1.1.0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        assert publish("all", "--dataset", str(small_set)) == 0
        other = other_network(tmp_path_factory.mktemp("other") / "network")
        assert publish("adapter", "--task", "dehaze", "--prior", str(other), version="v1.1.0") == 0
    return running_hub


@pytest.fixture(autouse=True)
def fresh(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, tmp_path / "cache")
    hub.hub.log.clear()
    hub.hub.faults.clear()


def calls(hub: RunningHub, pattern: str) -> list[str]:
    return [call for call in hub.hub.log if re.search(pattern, call)]


# ---- adapters


def test_a_fetched_adapter_does_what_the_shipped_one_does(restorer: Restorer, tmp_path: Path) -> None:
    picture = photo(tmp_path / "photo.png")
    shipped = restorer(picture, task="dehaze")
    fetched = Adapter.fetch(DEHAZE, revision="v1.0.0", task="dehaze", prior="embedded")
    assert fetched.metadata.version == "1.0.0" and fetched.name == f"{DEHAZE}@v1.0.0"
    network = Restorer.load(device="cpu")
    network.use(fetched)
    again = network(picture, task="dehaze")
    assert again.image.tobytes() == shipped.image.tobytes()
    assert again.settings.adapters == {"dehaze": f"{DEHAZE}@v1.0.0"}


def test_two_versions_side_by_side(tmp_path: Path) -> None:
    picture, network, made = photo(tmp_path / "photo.png"), Restorer.load(device="cpu"), {}
    for version in ("v1.0.0", "v1.1.0", "v1.0.0"):
        network.use(Adapter.fetch(DEHAZE, revision=version))
        restored = network(picture, task="dehaze")
        assert restored.settings.adapters == {"dehaze": f"{DEHAZE}@{version}"}
        assert made.setdefault(version, restored.image.tobytes()) == restored.image.tobytes()
        assert restored.newer == ((f"{DEHAZE}@v1.1.0",) if version == "v1.0.0" else ())
    assert made["v1.0.0"] != made["v1.1.0"]


def test_a_branch_is_resolved_and_named() -> None:
    commit = HfApi().model_info(DEHAZE).sha
    for revision in (None, "main"):
        found = Adapter.fetch(DEHAZE, revision=revision)
        assert found.name == f"{DEHAZE}@{commit}" and "is a branch" in found.notes[0]
    assert Adapter.fetch(DEHAZE, revision=commit).metadata == found.metadata
    api = HfApi(token=TOKEN)
    api.create_branch(DEHAZE, branch="dev", revision="v1.0.0", exist_ok=True)
    older = api.list_repo_commits(DEHAZE, revision="v1.0.0")[0].commit_id
    assert Adapter.fetch(DEHAZE, revision="dev").name == f"{DEHAZE}@{older}"


def test_a_wrong_adapter_is_refused_with_both_names() -> None:
    with pytest.raises(AdapterError, match="task 'dehaze' on prior 'embedded', not for 'deblur'"):
        Adapter.fetch(DEHAZE, "v1.0.0", task="deblur")
    with pytest.raises(AdapterError, match="not for 'dehaze' on 'sd-turbo'"):
        Adapter.fetch(DEHAZE, "v1.0.0", prior="sd-turbo")


def test_an_adapter_of_another_prior_revision_is_refused(tmp_path: Path, restorer: Restorer) -> None:
    folder = tmp_path / "old"
    shutil.copytree(EMBEDDED / "adapters" / "dehaze", folder)
    metadata = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(metadata | {"prior_revision": "0.0.1"}))
    with pytest.raises(AdapterError, match="trained on embedded@0.0.1, and this network is embedded@"):
        restorer.use(Adapter.open(str(folder)))


def test_what_is_not_there_is_named(subtests: pytest.Subtests) -> None:
    for repo, revision, sentence in (
        (f"{OWNER}/nothing", "v1.0.0", "no repository alice/nothing, or it is private"),
        (DEHAZE, "v7.0.0", "no revision 'v7.0.0': there are v1.0.0, v1.1.0"),
        (DEHAZE, "0" * 40, "has no revision '0000"),
        (f"{OWNER}/lwr", "v1.0.0", "is no adapter"),
        ("no name at all", "v1.0.0", "no name of a repository"),
    ):
        with subtests.test(repo, revision=revision), pytest.raises((HubError, AdapterError), match=sentence):
            Adapter.fetch(repo, revision)


def test_many_at_once_download_once_and_get_their_own(hub: RunningHub, tmp_path: Path) -> None:
    picture, network = photo(tmp_path / "photo.png"), Restorer.load(device="cpu")
    right = {task: network(picture, task=task, scale=1).image.tobytes() for task in TASKS}
    network.adapters.pins = {task: f"{OWNER}/lwr-{task}@v1.0.0" for task in TASKS}
    asked = [list(TASKS)[number % len(TASKS)] for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(lambda task: network(picture, task=task, scale=1), asked))
    assert [one.image.tobytes() for one in made] == [right[task] for task in asked]
    assert all(
        one.settings.adapters == {t: f"{OWNER}/lwr-{t}@v1.0.0"} for one, t in zip(made, asked, strict=True)
    )
    assert len(calls(hub, WEIGHTS)) == len(TASKS)


def test_nothing_is_fetched_before_a_photo_needs_it(hub: RunningHub, tmp_path: Path) -> None:
    network = Restorer.load(device="cpu")
    network.adapters.pins = {task: f"{OWNER}/lwr-{task}@v1.0.0" for task in TASKS}
    assert network.resolve("remove the haze").adapters == {"dehaze": f"{DEHAZE}@v1.0.0"}
    assert not hub.hub.log
    network(photo(tmp_path / "photo.png"), "remove the haze")
    assert len(calls(hub, WEIGHTS)) == 1 and not calls(hub, "lwr-deblur")


def test_memory_keeps_what_was_used_last() -> None:
    first = Adapter.fetch(DEHAZE, "v1.0.0")
    memory = adapter_memory(2 * first.bytes)
    loaded = []

    def get(name: str) -> None:
        memory(name, lambda: loaded.append(name) or first)

    for name in ("a", "b", "a", "c", "a", "b"):
        get(name)
    assert loaded == ["a", "b", "c", "b"]
    with pytest.raises(HubError):
        memory("bad", lambda: (_ for _ in ()).throw(HubError("no")))
    get("bad")
    assert loaded[-1] == "bad"


# ---- priors, datasets, other libraries


def test_a_published_prior(hub: RunningHub, restorer: Restorer, tmp_path: Path) -> None:
    picture = photo(tmp_path / "photo.png")
    network = Restorer.load(f"{OWNER}/lwr", revision="v1.0.0", device="cpu")
    assert not calls(hub, "lwr-dehaze")
    restored = network(picture, "remove the haze")
    assert restored.image.tobytes() == restorer(picture, "remove the haze").image.tobytes()
    assert restored.settings.prior == f"{OWNER}/lwr@v1.0.0"
    assert restored.settings.adapters == {"dehaze": f"{DEHAZE}@v1.0.0"}
    with pytest.raises(PriorError, match="no revision 'v3.0.0'"):
        Restorer.load(f"{OWNER}/lwr", revision="v3.0.0")


def test_the_command_line_takes_published_names(tmp_path: Path) -> None:
    picture = photo(tmp_path / "photo.png")
    words = ["restore", picture, "--task", "dehaze", "--json", "--prior", f"{OWNER}/lwr@v1.0.0"]
    words += ["--adapter", f"{DEHAZE}@v1.1.0"]
    done = CliRunner().invoke(app, list(map(str, words)))
    line = json.loads(done.stdout)
    assert done.exit_code == 0 and line["prior"] == f"{OWNER}/lwr@v1.0.0", done.stderr
    assert line["adapters"] == {"dehaze": f"{DEHAZE}@v1.1.0"}


@pytest.mark.parametrize("streaming", [True, False])
def test_a_published_dataset(small_set: Path, streaming: bool, tmp_path: Path) -> None:
    name, cache = f"{OWNER}/lwr-multitask", str(tmp_path / "datasets")
    rows = load_dataset(
        name, "dehaze", revision="v1.0.0", split="train", streaming=streaming, cache_dir=cache
    )
    ours = load_dataset(str(small_set), "dehaze", split="train", streaming=True)
    row, our_row = next(iter(rows)), next(iter(ours))
    assert (
        row["image_id"] == our_row["image_id"] and row["degraded"].tobytes() == our_row["degraded"].tobytes()
    )
    assert row["params"] == our_row["params"]


def test_diffusers_and_peft_read_what_we_publish() -> None:
    unet = UNet2DConditionModel.from_pretrained(f"{OWNER}/lwr", subfolder="unet", revision="v1.0.0")
    ours = UNet2DConditionModel.from_pretrained(EMBEDDED, subfolder="unet")
    assert torch.equal(next(unet.parameters()), next(ours.parameters()))
    assert AutoencoderKL.from_pretrained(f"{OWNER}/lwr", subfolder="vae", revision="v1.0.0").config
    config = PeftConfig.from_pretrained(DEHAZE, revision="v1.0.0")
    assert config.base_model_name_or_path == f"{OWNER}/lwr" and config.revision == "v1.0.0"


# ---- faults


def test_offline_with_and_without_a_copy(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Adapter.fetch(DEHAZE, "v1.0.0")
    remembered.cache_clear()
    hub.stop()
    try:
        found = Adapter.fetch(DEHAZE, "v1.0.0")
        assert found.name == f"{DEHAZE}@v1.0.0" and "cannot be reached: the copy" in found.notes[0]
        with pytest.raises(HubError, match="cannot be reached, and alice/lwr-deblur@v1.0.0 is not on this"):
            Adapter.fetch(f"{OWNER}/lwr-deblur", "v1.0.0")
        with pytest.raises(PriorError, match="cannot be reached.*'embedded' needs no network"):
            Restorer.load(f"{OWNER}/lwr", revision="v1.0.0")
    finally:
        hub.start()
    assert Adapter.fetch(f"{OWNER}/lwr-deblur", "v1.0.0").metadata.task == "deblur"


def test_a_shipped_adapter_stands_in_and_says_so(hub: RunningHub, restorer: Restorer) -> None:
    config = restorer.network.prior.config
    choice = AdapterChoice(EMBEDDED, config, {"dehaze": f"{DEHAZE}@v8.0.0"})
    adapter = choice.of("dehaze")
    assert adapter.name.startswith("embedded/dehaze@") and "was used instead" in adapter.notes[0]
    asked = len(hub.hub.log)
    assert choice.of("dehaze") is adapter and len(hub.hub.log) == asked  # not asked again at once
    alone = AdapterChoice(EMBEDDED.parent, replace(config, revision="9"), {"dehaze": f"{DEHAZE}@v8.0.0"})
    with pytest.raises(AdapterError, match="no revision 'v8.0.0'"):
        alone.of("dehaze")


@pytest.mark.parametrize("fault", [altered(), truncated(100)])
def test_a_damaged_download_is_never_used(hub: RunningHub, fault: Fault) -> None:
    hub.hub.fail(WEIGHTS, fault)
    with pytest.raises(HubError, match="not used.*[Tt]ry again"):
        Adapter.fetch(DEHAZE, "v1.0.0")
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"


def test_no_adapter_stands_in_for_a_damaged_one(hub: RunningHub, restorer: Restorer) -> None:
    choice = AdapterChoice(EMBEDDED, restorer.network.prior.config, {"dehaze": f"{DEHAZE}@v1.0.0"})
    hub.hub.fail(WEIGHTS, altered())
    with pytest.raises(AdapterError, match="wrong hash"):
        choice.of("dehaze")
    assert choice.of("dehaze").name == f"{DEHAZE}@v1.0.0"


def test_small_files_are_verified_too(hub: RunningHub) -> None:
    hub.hub.fail(r"GET /alice/lwr-dehaze/resolve/.*/adapter_config.json", altered())
    with pytest.raises(DamagedError, match="adapter_config.json of alice/lwr-dehaze@v1.0.0 is not what"):
        Adapter.fetch(DEHAZE, "v1.0.0")
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"


def test_a_copy_that_was_damaged_later_is_refused_offline_too(hub: RunningHub) -> None:
    folder = fetch(Pin(DEHAZE, "v1.0.0")).folder
    names = ("adapter_model.safetensors", "adapter.json")
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).resolve().write_bytes(whole[:-1] + b"?")
    hub.stop()
    try:
        with pytest.raises(
            DamagedError, match="adapter.json, adapter_model.safetensors of alice/lwr-dehaze@"
        ):
            fetch(Pin(DEHAZE, "v1.0.0"))
        assert not any((folder / name).is_symlink() for name in names)
    finally:
        hub.start()
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"
    (folder / "adapter.json").resolve().write_text("{}")
    with pytest.raises(DamagedError, match=r"adapter.json of alice/lwr-dehaze@v1.0.0 is not what"):
        fetch(Pin(DEHAZE, "v1.0.0"))


def test_a_cut_download_goes_on(hub: RunningHub) -> None:
    hub.hub.fail(WEIGHTS, cut_download(500_000))
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"
    assert len(calls(hub, WEIGHTS)) == 2


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_hub(hub: RunningHub, code: int) -> None:
    hub.hub.fail("refs", status(code, retry_after=7), times=2)
    with pytest.raises(HubError, match=f"busy \\(status {code}, come back in 7 seconds\\), and"):
        Adapter.fetch(DEHAZE, "v1.0.0")
    hub.hub.faults.clear()
    Adapter.fetch(DEHAZE, "v1.0.0")
    remembered.cache_clear()
    hub.hub.fail("refs", status(code))
    assert f"status {code}): the copy of" in Adapter.fetch(DEHAZE, "v1.0.0").notes[0]


def test_a_network_that_swallows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("lwr.loading.hub.TIMEOUT", 0.3)
        with pytest.raises(HubError, match="cannot be reached, and"):
            Adapter.fetch(DEHAZE, "v1.0.0")


def test_a_busy_moment_between_two_calls_is_waited_for(hub: RunningHub) -> None:
    hub.hub.fail("HEAD .*adapter_model", status(503, retry_after=0))
    hub.hub.fail(WEIGHTS, status(429, retry_after=0))
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"


def test_a_full_disk_is_named_and_a_retry_works() -> None:
    with (
        full_disk(500_000),
        pytest.raises(HubError, match=r"no room for alice/lwr-dehaze@v1\.0\.0.*HF_HUB_CACHE"),
    ):
        Adapter.fetch(DEHAZE, "v1.0.0")
    assert Adapter.fetch(DEHAZE, "v1.0.0").metadata.task == "dehaze"


def test_a_deleted_tag() -> None:
    api = HfApi(token=TOKEN)
    commit = next(ref.target_commit for ref in api.list_repo_refs(DEHAZE).tags if ref.name == "v1.1.0")
    api.delete_tag(DEHAZE, tag="v1.1.0")
    try:
        with pytest.raises(HubError, match="no revision 'v1.1.0': there are v1.0.0. Ask for one"):
            Adapter.fetch(DEHAZE, "v1.1.0")
        assert Adapter.fetch(DEHAZE, "v1.0.0").notes == ()
    finally:
        api.create_tag(DEHAZE, tag="v1.1.0", revision=commit)
    assert Adapter.fetch(DEHAZE, "v1.1.0").metadata.version == "1.1.0"


def test_private_repositories_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert (
        publish("adapter", "--task", "deblur", "--private", version="v2.0.0") == 1
    )  # it is there and public
    HfApi().delete_repo(f"{OWNER}/lwr-deblur")
    try:
        assert publish("adapter", "--task", "deblur", "--private") == 0
        assert Adapter.fetch(f"{OWNER}/lwr-deblur", "v1.0.0").metadata.task == "deblur"
        for token, sentence in (
            ("", "or it is private"),
            ("hf_bob", "or it is private"),
            ("hf_bad", "know your token"),
        ):
            remembered.cache_clear()
            monkeypatch.setenv("HF_TOKEN", token)
            with pytest.raises(HubError, match=sentence) as refused:
                fetch(Pin(f"{OWNER}/lwr-deblur", "v1.0.0"))
            assert "hf_b" not in str(refused.value)
    finally:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        HfApi().delete_repo(f"{OWNER}/lwr-deblur")
        assert publish("adapter", "--task", "deblur") == 0


# ---- the server itself


def test_the_server_answers_as_the_hub_does(hub: RunningHub) -> None:
    path = Path(hf_hub_download(DEHAZE, "adapter_model.safetensors", revision="v1.0.0"))
    url = f"{hub.address}/{DEHAZE}/resolve/v1.0.0/adapter_model.safetensors"
    part = httpx2.get(url, headers={"Range": "bytes=100-199"}, follow_redirects=True)
    assert part.status_code == 206 and part.content == path.read_bytes()[100:200]
    head = httpx2.head(f"{hub.address}/{DEHAZE}/resolve/v1.0.0/README.md", headers={"Range": "bytes=5-"})
    assert head.headers["x-repo-commit"] and head.status_code == 206
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token="hf_bob").model_info(f"{OWNER}/nothing")
    for token, code in ((None, 401), ("hf_bob", 403), ("hf_alice_read", 403), ("hf_bad", 401)):
        with pytest.raises(HfHubHTTPError) as refused:
            HfApi(token=token or False).create_tag(DEHAZE, tag="v9.0.0")
        assert refused.value.response.status_code == code
