"""The network's promises: adapters fold in and out exactly, as PEFT's do; fidelity 0 is the plain decoder."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
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
from lwr.loading.save import save_network
from lwr.models.config import TextConditioning
from lwr.models.lora import add_low_rank, new_pair
from lwr.models.network import RestorationNetwork
from lwr.models.sampling import add_noise, levels, sample, split, timesteps
from lwr.tasks import TASKS

KINDS = ("epsilon", "v_prediction", "sample")


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


def context(network: RestorationNetwork, instructions: Mapping[str, float] | None = None) -> torch.Tensor:
    return network.context(instructions or {}, TextConditioning())


def prediction(network: RestorationNetwork) -> torch.Tensor:
    channels = network.prior.unet.config.in_channels
    latent = torch.randn(1, channels, 8, 12, generator=torch.Generator().manual_seed(5))
    return network.predict(latent, 200, latent.flip(-1), context(network, {"remove the blur": 1.0}))


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def test_detaching_gives_back_the_same_network_bit_for_bit(network: RestorationNetwork) -> None:
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before, attachment = prediction(network), Attachment(network)
    attachment.attach([adapter(network)], [1.0])
    assert distance(prediction(network), before) > 1e-3
    attachment.attach([adapter(network, seed=1)], [0.5])  # replaces the first
    attachment.detach()
    assert torch.equal(prediction(network), before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


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
    folded = prediction(network)
    attachment.detach()
    other = load_network()
    PeftModel.from_pretrained(other, folder)  # puts PEFT's layers into `other`
    assert distance(prediction(other), folded) < 1e-4 < 1e-3 < distance(plain, folded)


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


def test_sft_is_undone_even_after_an_error(network: RestorationNetwork) -> None:
    unet = network.prior.unet
    latent = torch.randn(1, unet.config.in_channels, 8, 12, generator=torch.Generator().manual_seed(1))
    time, text = torch.tensor([100]), context(network)
    before = unet(latent, time, text).sample
    features = [f + 1 for f in network.encoder(latent, time)]

    def fail() -> None:
        with network.sft.applied(unet, features):
            assert unet(latent, time, text).sample.shape == before.shape
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        fail()
    assert torch.equal(unet(latent, time, text).sample, before)
    assert not any(module._forward_hooks for module in unet.modules())


def test_a_saved_network_comes_back(network: RestorationNetwork, tmp_path: Path) -> None:
    save_network(network, tmp_path)
    again = load_network(tmp_path)
    assert again.prior.config == network.prior.config and again.config == network.config
    assert all(tensor.dtype == torch.float32 for tensor in network.parameters())  # saving leaves it as it was
    assert distance(prediction(again), prediction(network)) < 1e-2
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in files) < 10e6, "a Space takes no plain file over 10 MB"


def test_shipped_weights_fit_where_they_must() -> None:
    sizes = {file.name: file.stat().st_size for file in EMBEDDED.rglob("*") if file.is_file()}
    large = [f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes.items() if size >= 10e6]
    assert not large, f"a Space takes no plain file of 10 MB: {', '.join(large)}; save into an empty folder"
    assert sum(file.stat().st_size for file in EMBEDDED.rglob("*")) < 40e6


def test_fidelity_0_is_the_plain_decoder_and_more_is_another_picture(network: RestorationNetwork) -> None:
    photo = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    encoded = network.encode(photo)
    vae = network.prior.vae
    plain = network.prior.from_vae(vae.decode(encoded.latent / vae.config.scaling_factor).sample)
    assert distance(network.decode(encoded.latent, encoded, 0.0), plain) < 1e-5
    assert distance(network.decode(encoded.latent, encoded, 1.0), plain) > 1e-3


def test_latent_is_the_mode_that_diffusers_encodes(network: RestorationNetwork) -> None:
    photo = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    vae = network.prior.vae
    expected = vae.encode(network.prior.to_vae(photo)).latent_dist.mode() * vae.config.scaling_factor
    assert distance(network.encode(photo).latent, expected) < 1e-5


@pytest.mark.parametrize("size", [(8, 8), (4, 20), (28, 12)])
def test_encoder_features_fit_the_levels_of_the_unet(
    network: RestorationNetwork, size: tuple[int, int]
) -> None:
    unet, seen = network.prior.unet, []
    latent = torch.zeros(2, unet.config.in_channels, *size)
    handles = [
        block.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
        for block in unet.down_blocks
    ]
    unet(latent, torch.tensor([10, 10]), context(network).expand(2, -1, -1))
    for handle in handles:
        handle.remove()
    features = network.encoder(latent, torch.tensor([10, 10]))
    assert [f.shape[-2:] for f in features] == [call["hidden_states"].shape[-2:] for call in seen]


def scheduler(kind: str) -> DDIMScheduler:
    config = DDIMScheduler.from_pretrained(EMBEDDED / "scheduler").config
    return DDIMScheduler.from_config(config, prediction_type=kind)


SCHEDULERS = {kind: scheduler(kind) for kind in KINDS}


def output_for(kind: str, clean: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
    """What a perfect UNet of this kind answers."""
    signal, sigma = levels(SCHEDULERS[kind], timestep)
    return {"epsilon": noise, "v_prediction": signal * noise - sigma * clean, "sample": clean}[kind]


@given(st.sampled_from(KINDS), st.integers(20, 900), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_splitting_undoes_noising(kind: str, timestep: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 1, 4, 3, 5, generator=generator)
    noised = add_noise(SCHEDULERS[kind], clean, noise, timestep)
    found = split(SCHEDULERS[kind], noised, output_for(kind, clean, noise, timestep), timestep)
    assert distance(found[0], clean) < 1e-3 and distance(found[1], noise) < 1e-3


@given(st.sampled_from(KINDS), st.integers(1, 8), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_steps_are_those_of_diffusers_ddim(kind: str, steps: int, seed: int) -> None:
    start = 40 * steps
    schedule = timesteps(start, steps)
    theirs = DDIMScheduler.from_config(
        SCHEDULERS[kind].config, clip_sample=False, set_alpha_to_one=True, thresholding=False
    )
    # their step goes down by train / inference timesteps: 40 at a time, and from 40 to 0
    theirs.num_inference_steps = theirs.config.num_train_timesteps // 40
    predict: Callable[[torch.Tensor, int], torch.Tensor] = lambda x, t: torch.tanh(x + t / 1000)  # noqa: E731
    lq, noise = torch.randn(2, 1, 4, 3, 5, generator=torch.Generator().manual_seed(seed))
    expected = add_noise(theirs, lq, noise, start)
    for t in schedule[:-1]:
        expected = theirs.step(predict(expected, t), t, expected, eta=0.0).prev_sample
    last = theirs.step(predict(expected, schedule[-1]), schedule[-1], expected, eta=0.0).pred_original_sample
    assert distance(sample(predict, lq, SCHEDULERS[kind], schedule, lambda _: noise), last) < 1e-4


def test_timesteps_fall_evenly_and_refuse_nonsense() -> None:
    assert timesteps(400, 4) == [400, 300, 200, 100] and timesteps(250, 1) == [250]
    for steps in (0, -1, 401):
        with pytest.raises(ValueError, match="steps must be 1 to 400"):
            timesteps(400, steps)
