"""Adapters fold in and out of the network exactly, as PEFT's do; damaged and foreign ones are refused."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from passes import distance, prediction
from peft import PeftModel

from lwr.loading.adapter import (
    WEIGHTS,
    Adapter,
    AdapterError,
    AdapterMetadata,
    Attachment,
    load_adapter,
    save_adapter,
)
from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED
from lwr.models.lora import add_low_rank, folded, new_pair
from lwr.models.network import RestorationNetwork
from lwr.tasks import TASKS


@pytest.fixture(scope="module")
def network() -> RestorationNetwork:
    return load_network()


@pytest.fixture(scope="module", autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def adapter(network: RestorationNetwork, seed: int = 0) -> Adapter:
    """A LoRA on the layers of the shipped ones that changes much, whatever those have learned."""
    torch.manual_seed(seed)
    modules = dict(network.named_modules())
    pairs = {}
    for name in load_adapter(EMBEDDED / "adapters" / "deblur", "deblur", "embedded").pairs:
        a, b = new_pair(modules[name], rank=6 if name.startswith("encoder.") else 4)
        pairs[name] = (a, torch.randn_like(b) * 0.02)
    return Adapter(AdapterMetadata("deblur", "embedded", "0.2.0", rank=4, alpha=6, version="0.2.0"), pairs)


def test_detaching_gives_back_the_same_network_bit_for_bit(network: RestorationNetwork) -> None:
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before, attachment = prediction(network), Attachment(network)
    attachment.attach([adapter(network)], [1.0])
    assert distance(prediction(network), before) > 1e-3
    attachment.attach([adapter(network, seed=1)], [0.5])  # replaces the first
    attachment.detach()
    assert torch.equal(prediction(network), before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_folding_is_the_same_sum_in_training_and_needs_no_more_memory_than_its_result(
    network: RestorationNetwork,
) -> None:
    weights, one = dict(network.named_parameters()), adapter(network)
    before = {name: tensor.clone() for name, tensor in weights.items()}
    found = folded(weights, [(one.pairs, 0.7)])
    with torch.enable_grad():
        trained = folded(weights, [(one.pairs, 0.7)])
    assert all(torch.equal(found[name], trained[name]) for name in trained | found)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in before.items())
    # A tensor of its own for each sum, beside the products, took twice the time of a switch.
    assert len({each.untyped_storage().data_ptr() for each in found.values()}) < len(found) / 2


def test_an_adapter_of_strength_0_or_untrained_changes_nothing(network: RestorationNetwork) -> None:
    before, attachment, some = prediction(network), Attachment(network), adapter(network)
    fresh = dataclasses.replace(
        some, pairs={name: (a, torch.zeros_like(b)) for name, (a, b) in some.pairs.items()}
    )
    for attached, strength in ((some, 0.0), (fresh, 1.0)):
        attachment.attach([attached], [strength])
        assert torch.equal(prediction(network), before)
    attachment.detach()


def test_folding_is_what_peft_computes_from_the_same_folder(
    network: RestorationNetwork, tmp_path: Path
) -> None:
    plain, folder = prediction(network), save_adapter(adapter(network), tmp_path / "deblur")
    attachment = Attachment(network)
    attachment.attach([load_adapter(folder, "deblur", "embedded")], [1.0])
    with_ours = prediction(network)
    attachment.detach()
    other = load_network()
    # PEFT's layers go into `other`; merged, because on their own its pairs see zeros at the photo's border
    PeftModel.from_pretrained(other, folder).merge_adapter()
    assert distance(prediction(other), with_ours) < 1e-4 < 1e-3 < distance(plain, with_ours)


@pytest.mark.parametrize("task", list(TASKS))
def test_peft_reads_the_shipped_adapters_completely(task: str) -> None:
    wrapped = PeftModel.from_pretrained(load_network(), EMBEDDED / "adapters" / task)
    layers = {name.split(".lora_")[0] for name, _ in wrapped.named_parameters() if ".lora_" in name}
    ours = load_adapter(EMBEDDED / "adapters" / task, task, "embedded").pairs
    assert layers == {f"base_model.model.{name}" for name in ours}


def test_two_adapters_in_one_pass_add_their_changes(network: RestorationNetwork) -> None:
    originals = {name: tensor.clone() for name, tensor in network.named_parameters()}
    one, two, attachment = adapter(network, 1), adapter(network, 2), Attachment(network)
    attachment.attach([one, two], [0.3, 0.8])
    blended = prediction(network)
    for name, tensor in network.named_parameters():
        expected = originals[name]
        for some, strength in ((one, 0.3), (two, 0.8)):
            if pair := some.pairs.get(name.removesuffix(".weight")):
                expected = add_low_rank(expected, *pair, strength * some.metadata.scaling)
        assert distance(tensor, expected) < 1e-6, name
    attachment.attach([two, one], [0.8, 0.3])
    assert distance(prediction(network), blended) < 1e-4
    attachment.detach()


def test_an_adapter_for_another_network_is_refused_and_changes_nothing(network: RestorationNetwork) -> None:
    before, attachment, some = prediction(network), Attachment(network), adapter(network)
    name, (a, b) = next(iter(some.pairs.items()))
    for pairs in ({"prior.unet.nowhere": (a, b)}, {name: (a, torch.cat([b, b]))}):
        with pytest.raises(AdapterError, match="does not fit this network"):
            attachment.attach([some, dataclasses.replace(some, pairs=pairs)], [1.0, 1.0])
        assert torch.equal(prediction(network), before)


def _no_metadata(folder: Path) -> None:
    (folder / "adapter.json").unlink()


def _metadata_not_json(folder: Path) -> None:
    (folder / "adapter.json").write_text('{"task": "deblur", ')


def _unknown_field(folder: Path) -> None:
    metadata = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps({**metadata, "colour": "red"}))


def _newer_format(folder: Path) -> None:
    metadata = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps({**metadata, "format_version": 2}))


def _one_bit_flipped(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def _cut_short(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])


DAMAGES = {
    "is missing": _no_metadata,
    "adapter.json is damaged": _metadata_not_json,
    "is damaged .*colour": _unknown_field,
    "format 2": _newer_format,
    "its hash differs": _one_bit_flipped,
    "fetch it again": _cut_short,
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_adapter_is_refused_in_a_sentence(
    network: RestorationNetwork, tmp_path: Path, reason: str
) -> None:
    folder = save_adapter(adapter(network), tmp_path / "deblur")
    DAMAGES[reason](folder)
    with pytest.raises(AdapterError, match=reason):
        load_adapter(folder, "deblur", "embedded")


@pytest.mark.parametrize(("task", "prior"), [("dehaze", "embedded"), ("deblur", "sd-turbo")])
def test_an_adapter_of_another_task_or_prior_is_refused(task: str, prior: str) -> None:
    with pytest.raises(AdapterError, match=f"not for '{task}' on '{prior}'"):
        load_adapter(EMBEDDED / "adapters" / "deblur", task, prior)


def test_folded_weights_keep_their_memory_format() -> None:
    """Convolutions round differently in another, and an adapter of strength 0 would change pixels."""
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    pair = torch.randn(2, 4, 3, 3), torch.randn(8, 2, 1, 1)
    with torch.no_grad():
        for strength in (0.0, 1.0):
            found = folded({"conv.weight": weight}, [({"conv": pair}, strength)])["conv.weight"]
            assert found.stride() == weight.stride()
