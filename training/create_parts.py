"""New restoring parts around a frozen prior of the Stable Diffusion kind, in StableSR's proportions.

On Stable Diffusion 2.1-base they have StableSR's sizes (52.5 M encoder, 53.0 M SFT); on a smaller or pruned
UNet they shrink with it.
"""

from dataclasses import replace

import torch

from lwr.loading.load import load_prior
from lwr.loading.locate import ModelSource, locate, prior_config_of
from lwr.models.config import EncoderConfig, NetworkConfig, SFTConfig
from lwr.models.network import RestorationNetwork
from training.config import Config

# What new parts need of their prior: StableSR's start, and the empty text that they are trained with.
PRIOR_CONFIG = {"start_timestep": 999, "positive": "", "guidance": 1.0, "default_fidelity": 0.0}
PARTS_ID = "lwr"
CFW_LEVELS = (1, 2)  # of the VAE, as StableSR's


def network_around(config: Config) -> RestorationNetwork:
    """`config.prior` with new encoder and SFT; CFW is added by stage cfw."""
    source = locate(config.prior)
    known = prior_config_of(source)
    # as `load_network` will find it
    prior_config = replace(known, id=f"{known.id}+{PARTS_ID}", **PRIOR_CONFIG)
    prior = load_prior(source.folder, prior_config)
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
        id=PARTS_ID,
        base=_base(source),
        prediction=prior.scheduler.config.prediction_type,
        prior_config=PRIOR_CONFIG,
    )
    return RestorationNetwork(prior, sizes)


def _base(source: ModelSource) -> str:
    """The prior in words that `locate` understands anywhere on this machine, or on any for one on the Hub."""
    place = source.name if "@" in source.name else str(source.folder.resolve())
    return f"{source.config.id}={place}" if source.config else place
