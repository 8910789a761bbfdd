"""A tiny StableSR checkpoint of our own making and what its modules gave on the day when they reproduced the
public golden tensors: guards the conversion where ../shared is absent. `python tests/stablesr_fixture.py`
writes it again; do so only while tests/test_stablesr.py passes with the golden tensors.
"""

import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from lwr.models.config import TextConditioning
from lwr.models.network import RestorationNetwork
from lwr.stablesr.convert import build_network
from training.benchmarks.random_stablesr import TINY, random_weights, shapes

OUTPUTS = Path(__file__).with_name("stablesr_fixture.safetensors")
HEAD = 32  # channels per attention head, which stands in no key


def checkpoint() -> dict[str, torch.Tensor]:
    """Every tensor of the checkpoint; each follows from its key."""
    return {key: random_weights(key, shape) for key, shape in shapes(TINY).items()}


@torch.inference_mode()
def outputs(network: RestorationNetwork) -> dict[str, torch.Tensor]:
    """What the modules give on inputs that are not square."""
    latent_lq, latent = _input("latent_lq", 1, 4, 16, 24), _input("latent", 1, 4, 16, 24)
    image, time = _input("image", 1, 3, 32, 48).tanh(), torch.tensor([321])
    features = network.encoder(latent_lq, time)
    found = {f"struct_cond.{level}": feature for level, feature in enumerate(features)}
    context = network.context({}, TextConditioning())
    with network.sft.applied(network.prior.unet, features):
        found["epsilon"] = network.prior.unet(latent, time, context).sample
    seen = network.prior.encode_features(image)
    moments = network.prior.encode_moments(seen[-1])
    small = _input("latent_0", 1, 4, 4, 6)
    for fidelity in (0.0, 0.5, 1.0):
        found[f"decoded.w{fidelity}"] = decoded(network, small, seen, fidelity)
    return found | {"moments": moments, "text": context[:, ::16, ::8]}


def decoded(
    network: RestorationNetwork, latent: torch.Tensor, features: list[torch.Tensor], fidelity: float
) -> torch.Tensor:
    """The VAE decoder with CFW, between the VAE's own units."""
    feature = network.prior.decode_features(latent, network.cfw.on_features(features, fidelity))
    return network.prior.decode_image(feature)


def _input(name: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(f"input:{name}".encode())))


if __name__ == "__main__":
    found = outputs(build_network(checkpoint(), "tiny", head_channels=HEAD))
    save_file({name: value.half().contiguous() for name, value in found.items()}, OUTPUTS)
