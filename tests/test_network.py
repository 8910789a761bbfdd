"""The network: it is saved and comes back, its parts fit each other, fidelity 0 is the plain decoder."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from passes import context, distance, prediction

from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED
from lwr.loading.save import save_network
from lwr.models.network import RestorationNetwork
from lwr.tasks import TASKS


@pytest.fixture(scope="module")
def network() -> RestorationNetwork:
    return load_network()


@pytest.fixture(scope="module", autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


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
    sizes = {
        file.relative_to(EMBEDDED): file.stat().st_size for file in EMBEDDED.rglob("*") if file.is_file()
    }
    large = [f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes.items() if size >= 10e6]
    assert not large, f"a Space takes no plain file of 10 MB: {', '.join(large)}; save into an empty folder"
    adapters = Counter()
    for name, size in sizes.items():
        if name.parts[0] == "adapters":
            adapters[name.parts[1]] += size
    assert set(adapters) == set(TASKS) and max(adapters.values()) < 2e6
    assert sum(sizes.values()) - adapters.total() < 40e6 and sum(sizes.values()) < 50e6


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
