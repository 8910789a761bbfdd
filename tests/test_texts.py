"""The tasks' texts are stored beside a prior as its text encoder gives them, and used only while they fit."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lwr.loading.load import load_network, load_prior
from lwr.loading.priors import BUNDLES
from lwr.loading.save import save_network
from lwr.loading.texts import FILE, load_text_encoder, routed_texts, save_texts, stored_texts
from lwr.models.fixed import FixedPass
from lwr.models.prior import Prior, encode
from lwr.restore import Restorer
from lwr.tasks import TASKS

HAZE = TASKS["dehaze"].instruction
AGAIN = "another text encoder or other sentences: run lwr.loading.texts.save_texts on the folder"


def has_text_encoder(prior: Prior) -> bool:
    """Whether it has been read; asking the prior for it would read it."""
    return "text_encoder" in dict(prior.named_children())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The smaller network, in a folder of its own."""
    return shutil.copytree(
        BUNDLES["embedded-lite"], tmp_path / "copy", ignore=shutil.ignore_patterns("adapters")
    )


@pytest.mark.parametrize("name", BUNDLES)
def test_what_ships_is_bit_equal_to_the_text_encoder(name: str) -> None:
    stored = stored_texts(BUNDLES[name])
    assert stored is not None, AGAIN
    assert set(stored.embeddings) == {"", *(task.instruction for task in TASKS.values())}, AGAIN
    text_encoder, tokenizer = load_text_encoder(BUNDLES[name])
    with torch.inference_mode():
        for text, embedding in stored.embeddings.items():
            assert torch.equal(encode(["", text], text_encoder, tokenizer)[1], embedding), text
        together = encode(list(stored.embeddings), text_encoder, tokenizer)
    assert torch.equal(together, torch.stack(list(stored.embeddings.values())))
    assert len({embedding.numpy().tobytes() for embedding in stored.embeddings.values()}) == len(together)
    assert (BUNDLES[name] / FILE).stat().st_size < 100_000


def test_a_text_encoder_is_read_for_other_texts_only() -> None:
    whole, prior = load_prior(), load_prior(text_encoder=False)
    with torch.inference_mode():
        assert torch.equal(prior.encode_text(["", HAZE]), whole.encode_text(["", HAZE]))
        assert prior.reads_text and prior.text_width == whole.text_width
        assert not has_text_encoder(prior)
        assert torch.equal(prior.encode_text(["a cat", HAZE]), whole.encode_text(["a cat", HAZE]))
    assert has_text_encoder(prior)
    state, loaded = prior.state_dict(), whole.state_dict()
    assert set(state) == set(loaded) and all(torch.equal(state[name], loaded[name]) for name in state)
    with torch.no_grad():  # it was read while no gradients are recorded, and can be trained all the same
        prior.text_encoder.requires_grad_(True)
    prior.encode_text(["a cat"]).sum().backward()


@pytest.mark.parametrize("fast", [False, True])
def test_a_restorer_reads_none(fast: bool) -> None:
    restorer, photo = Restorer.load(device="cpu"), Image.effect_noise((64, 64), 40).convert("RGB")
    restorer(photo, "remove the haze", fidelity=0.3, fast=fast)
    for one in filter(None, (restorer, restorer._smaller)):
        assert not has_text_encoder(one.network.prior)
    assert fast == (restorer._smaller is not None)


def test_who_does_not_ask_gets_everything() -> None:
    assert has_text_encoder(load_prior()) and not load_prior().stored.embeddings
    assert has_text_encoder(load_prior(precision=torch.bfloat16, text_encoder=False))  # stored is float32


@pytest.mark.parametrize("changed", ["text_encoder/model.safetensors", "tokenizer/tokenizer.json"])
def test_texts_of_another_text_encoder_are_not_used(copied: Path, changed: str) -> None:
    assert not has_text_encoder(load_prior(copied, text_encoder=False))
    if changed.endswith(".json"):
        (copied / changed).write_text((copied / changed).read_text() + "\n")
    else:
        weights = {name: value * 1.5 for name, value in load_file(copied / changed).items()}
        save_file(weights, copied / changed, metadata={"format": "pt"})
    prior, shipped = load_prior(copied, text_encoder=False), load_prior(BUNDLES["embedded-lite"])
    assert has_text_encoder(prior) and not prior.stored.embeddings
    same = torch.equal(prior.encode_text([HAZE]), shipped.encode_text([HAZE]))
    assert same == changed.endswith(".json")
    save_texts(copied)
    again = load_prior(copied, text_encoder=False)
    assert not has_text_encoder(again) and torch.equal(again.encode_text([HAZE]), prior.encode_text([HAZE]))


@pytest.mark.parametrize("half", [True, False])
def test_saving_writes_them(tmp_path: Path, half: bool) -> None:
    network = load_network(BUNDLES["embedded-lite"], text_encoder=False)
    shift = torch.linspace(-1e-3, 1e-3, network.prior.text_width)  # which half precision rounds
    with torch.no_grad():
        network.prior.text_encoder.final_layer_norm.weight += shift
    network.prior.config = replace(network.prior.config, id="other")
    save_network(network, tmp_path / "saved", half=half)
    whole = load_network(tmp_path / "saved").prior
    prior = load_network(tmp_path / "saved", text_encoder=False).prior
    texts = list(routed_texts())
    assert torch.equal(prior.encode_text(texts), whole.encode_text(texts)) and not has_text_encoder(prior)
    shipped = load_prior(BUNDLES["embedded-lite"])
    assert not torch.equal(prior.encode_text(texts), shipped.encode_text(texts))


def test_an_exported_pass_reads_none() -> None:
    network = load_network(text_encoder=False)
    fixed = FixedPass(network, {HAZE: 1.0}, 0.9)
    assert not has_text_encoder(network.prior) and not has_text_encoder(fixed.prior)
    assert torch.equal(fixed.text, load_network().context({HAZE: 1.0}, network.prior.config.text))


def test_a_text_encoder_that_could_not_be_read_is_read_the_next_time() -> None:
    prior = load_network(text_encoder=False).prior
    read, tries = prior.stored.load, []

    def fail_once() -> object:
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError
        return read()

    prior.stored = replace(prior.stored, load=fail_once)
    with pytest.raises(MemoryError):
        prior.encode_text(["another text"])
    with ThreadPoolExecutor(4) as pool:  # who asks at the same time waits
        found = list(pool.map(lambda _: prior.encode_text(["another text"]), range(4)))
    assert len(tries) == 2 and all(torch.equal(found[0], one) for one in found)


def test_hidden_files_and_folders_beside_a_text_encoder_do_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "prior"
    shutil.copytree(BUNDLES["embedded"], folder)
    (folder / "text_encoder" / ".cache").mkdir()
    (folder / "tokenizer" / ".DS_Store").write_bytes(b"0")
    assert stored_texts(folder) is not None
