"""Sizes and defaults of every part of a network, as they stand in prior.json and restoration.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TextConditioning:
    """What the UNet's cross-attention reads, and how strongly it is guided (Ho and Salimans 2022)."""

    positive: str | None = None  # None = the tasks' instructions
    negative: str = ""
    guidance: float = 1.0  # 1 = the positive side alone


@dataclass(frozen=True)
class PriorConfig:
    """What diffusers' configs have no field for (prior.json)."""

    id: str = "embedded"
    revision: str = ""  # version of the weights, or a commit
    patch_size: int = 1  # space-to-depth before the VAE's encoder and depth-to-space after its decoder
    start_timestep: int = 999  # where sampling starts from the noised LQ latent
    one_step_noise: bool = True  # False: a single step starts from the LQ latent without noise, as OSEDiff's
    default_steps: int = 4
    default_fidelity: float = 0.5
    positive: str | None = None  # text that conditions the UNet; None = the instructions of the tasks
    negative: str = ""  # what guidance leads away from
    guidance: float = 1.0  # classifier-free guidance (Ho and Salimans 2022, eq. 6, 1 + w); 1 = none
    eta: float = 0.0  # fresh noise in every step: 0 none (DDIM), 1 as much as DDPM
    tile: int = 512  # pixels; what the prior was trained on, or a little more
    edges: bool = False  # convolutions continue the photo past its border, where others see zeros
    least_side: int = 0  # pixels; smaller photos are enlarged to it for the pass, and reduced after it
    pruned: bool = False  # files hold narrower layers and fewer blocks than the configs say, see pruned.py

    @property
    def name(self) -> str:
        """ "ID@REVISION", as settings and results name the weights."""
        return f"{self.id}@{self.revision}"

    @property
    def text(self) -> TextConditioning:
        """The text conditioning that the prior is used with."""
        return TextConditioning(self.positive, self.negative, self.guidance)


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the time-aware encoder; one entry of `multipliers` per UNet level."""

    latent_channels: int = 4
    width: int = 256
    multipliers: tuple[int, ...] = (1, 1, 2, 2)
    blocks: int = 2  # residual blocks a level
    attention_levels: tuple[int, ...] = (0, 1, 2)  # self-attention after each block of these levels
    heads: int = 4
    out_channels: int = 256  # channels of every output feature
    groups: int = 32  # of every GroupNorm


@dataclass(frozen=True)
class SFTConfig:
    """Sizes of the SFT layers."""

    feature_channels: int = 256  # of the encoder's features
    hidden: int = 128
    groups: int = 32
    residual: bool = False  # the zero-initialised formula, see sft.py


@dataclass(frozen=True)
class CFWConfig:
    """Sizes of StableSR's CFW. `channels[i]` are the VAE's at encoder level i (level 0 is the finest)."""

    channels: tuple[int, ...]
    levels: tuple[int, ...]  # encoder levels that are fused; StableSR: (1, 2)
    dense_blocks: int = 2  # residual-in-residual dense blocks a level; StableSR: 2
    growth: int = 32  # channels that each dense convolution adds
    groups: int = 32  # of every GroupNorm


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes of the refiner. `channels[i]` are the VAE's at encoder level i (level 0 is the finest)."""

    channels: tuple[int, ...]
    blocks: tuple[int, ...]  # residual blocks a level
    scales: tuple[float, ...]  # bring the VAE's features of a level to about unit size
    pixel_channels: int  # of the VAE's input, whose pixels the refiner reads
    filters: tuple[int, int]  # number and size (odd, pixels) of the adaptive filters
    gates: bool = False  # whether channels are weighed by their mean over the whole photo
    unet_channels: int = 0  # of the UNet's last features; 0 = they are not read
    # How many of the VAE decoder's levels are read, the coarsest first; None = all. Finer ones follow from
    # it and cost most; from fidelity 0.5 up, where they have no other use, they are left out.
    decoder_levels: int | None = None
    perceptual_rank: int = 0  # of the perceptual weights, kept as a low-rank difference; 0 = none


@dataclass(frozen=True)
class NetworkConfig:
    """What is added to a prior, and what it was trained for (restoration.json). No encoder: nothing is.

    StableSR's kind has a `cfw`, the embedded network a `refiner`; fresh parts around a prior have neither.
    """

    encoder: EncoderConfig | None = None
    sft: SFTConfig = field(default_factory=SFTConfig)
    cfw: CFWConfig | None = None
    refiner: RefinerConfig | None = None
    id: str = ""  # of these parts; beside a prior from elsewhere the network is "PRIOR+ID"
    base: str | None = None  # the prior that they were trained on; None = it lies in the same folder
    prediction: str = ""  # what the UNet predicts on the prior that they were trained on; "" = not said
    tasks: tuple[str, ...] = ()  # that the parts do without an adapter
    prior_config: Mapping[str, float | int | str] = field(default_factory=dict)  # overrides of PriorConfig
