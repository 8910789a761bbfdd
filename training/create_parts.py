"""New restoring parts around a frozen prior of the Stable Diffusion kind, in StableSR's proportions.

On Stable Diffusion 2.1-base they have StableSR's sizes (52.5 M encoder, 53.0 M SFT); on a smaller or pruned
UNet they shrink with it.
"""

from dataclasses import replace

import torch
from lwr.models.decoder import WrappingConfig

from lwr.loading.load import load_prior
from lwr.loading.locate import ModelSource, locate, prior_config_of
from lwr.models.config import EncoderConfig, NetworkConfig, SFTConfig
from lwr.models.network import RestorationNetwork
from training.config import Config

# What new parts want of their prior: StableSR's start, and the empty text that they are trained with.
FACTS = {"start_timestep": 999, "positive": "", "guidance": 1.0, "default_fidelity": 0.0}
PARTS_ID = "lwr"
FUSED = (1, 2)  # VAE levels with CFW


def network_around(config: Config) -> RestorationNetwork:
    """`config.prior` with new encoder and SFT; CFW is grown by the fusion stage."""
    located = locate(config.prior)
    facts = prior_config_of(located)
    facts = replace(facts, id=f"{facts.id}+{PARTS_ID}", **FACTS)  # as `load_network` will find it
    prior = load_prior(located.folder, facts)
    torch.manual_seed(config.seed)
    unet = prior.unet.config
    levels = len(unet.block_out_channels)
    groups = unet.norm_num_groups
    width = max(1, round(0.8 * unet.block_out_channels[0] / groups)) * groups  # 320 -> 256
    sizes = NetworkConfig(
        encoder=EncoderConfig(
            latent_channels=unet.in_channels,
            width=width,
            multipliers=tuple(1 if level < levels / 2 else 2 for level in range(levels)),
            attention_levels=tuple(range(levels - 1)),
            out_channels=width,
            groups=groups,
        ),
        sft=SFTConfig(width, width // 2, groups, residual=not config.public_sft),
        wrapping=WrappingConfig(tuple(prior.vae.config.block_out_channels), ()),
        id=PARTS_ID,
        base=_base(located),
        prediction=prior.scheduler.config.prediction_type,
        facts=FACTS,
    )
    return RestorationNetwork(prior, sizes)


def _base(located: ModelSource) -> str:
    """The prior in words that `locate` understands anywhere on this machine, or on any for one on the Hub."""
    place = located.name if "@" in located.name else str(located.folder.resolve())
    return f"{located.config.id}={place}" if located.config else place
