"""A network from its folder: the prior, and the restoring parts around it, onto the CPU."""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging
from pydantic import TypeAdapter

from lwr.loading.locate import PARTS_CONFIG, ModelSource, locate, prior_config_of
from lwr.loading.priors import COMPONENTS, EMBEDDED, LITE, PRIOR_CONFIG, PriorError, read_prior_config
from lwr.loading.streaming import (
    assign,
    in_eight_bits,
    smaller_than_stored,
    stream,
    streamed_model,
    weight_files,
)
from lwr.loading.texts import load_text_encoder, stored_texts
from lwr.models.config import NetworkConfig, PriorConfig
from lwr.models.convolutions import quicken
from lwr.models.group_norm import steady_norms
from lwr.models.matrix_units import use_matrix_units
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior
from lwr.models.residual import quicken_blocks

CLASSES = {"vae": AutoencoderKL, "unet": UNet2DConditionModel}
PICTURE_PARTS = ("cfw", "refiner")  # beside the VAE; in float16 they stay float32, as it does
PARTS = ("encoder", "sft", *PICTURE_PARTS)
# Whose convolutions may round: no measured pixel moved by 1/255; of the fast network also others, by up to 2
ROUNDED = ("prior.unet", "prior.vae.decoder", "encoder", "sft")
ROUNDED_FAST = (*ROUNDED, "prior.vae.encoder", "refiner.levels.1", "refiner.levels.2")


def load_network(
    source: Path | str | ModelSource = "embedded",
    precision: torch.dtype = torch.float32,
    text_encoder: bool = True,
    rounds: bool = False,
) -> RestorationNetwork:
    """Load a prior and the parts around it onto the CPU, in evaluation mode; `source` as `locate` takes it.

    Without `text_encoder` it is read when it is first asked for, if the tasks' texts are stored beside it. In
    float16 all that is next to the pictures (VAE, CFW, refiner) stays float32. `rounds`: in float32
    some convolutions may round to bfloat16 where that is quicker, see `lwr.models.matrix_units`. Raises
    PriorError with a sentence.
    """
    source = source if isinstance(source, ModelSource) else locate(str(source))
    config = read_network_config(source.parts) if source.parts else NetworkConfig()
    prior_config = replace(prior_config_of(source), **config.prior_config)
    if source.parts not in (None, source.folder) and config.id:
        prior_config = replace(prior_config, id=f"{prior_config.id}+{config.id}")
    prior = load_prior(source.folder, prior_config, precision, text_encoder)
    predicted = prior.scheduler.config.prediction_type
    if config.prediction not in ("", predicted):
        raise PriorError(
            f"The restoring parts in {source.parts} are for a prior that predicts {config.prediction}, and "
            f"{source.name} predicts {predicted}. Give their own prior as --prior, or other parts."
        )
    try:
        with torch.device("meta"):  # the prior is there already; the parts come from their files
            network = RestorationNetwork(prior, config)
        for part in PARTS:
            if (module := getattr(network, part)) is not None:
                kept = prior.vae.dtype if part in PICTURE_PARTS else precision
                assign(module, dict(stream(source.parts / f"{part}.safetensors", kept)), prior_config.pruned)
    except (ValueError, RuntimeError) as error:
        if source.parts in (None, source.folder):
            raise
        trained = config.base or config.id or "another prior"
        raise PriorError(
            f"The restoring parts in {source.parts} were made for {trained} and do not fit {source.name}: "
            "its UNet has other blocks. Give the prior that they were trained on as --prior, or other parts."
        ) from error
    quicken(network)
    quicken_blocks(network)
    steady_norms(network)
    if rounds and network.refiner is not None and precision == torch.float32:
        names = ROUNDED_FAST if prior_config.id == LITE else ROUNDED
        network.rounds = use_matrix_units(m for name, m in network.named_modules() if name in names)
        network.refiner.filters.by_matrix_units = network.rounds
    return network.eval().requires_grad_(False)


def read_network_config(folder: Path) -> NetworkConfig:
    """The sizes of the parts in a folder, from its restoration.json."""
    return TypeAdapter(NetworkConfig).validate_json((folder / PARTS_CONFIG).read_bytes())


def load_prior(
    folder: Path = EMBEDDED,
    config: PriorConfig | None = None,
    precision: torch.dtype = torch.float32,
    text_encoder: bool = True,
) -> Prior:
    """Load a prior from a diffusers folder, on the CPU; `config` is what `read_prior_config` gives.

    `text_encoder` as for `load_network`. In float16 the VAE stays float32, whose range its activations need.
    Raises PriorError with a sentence when a component is missing or of a kind that does not fit.
    """
    check_components(folder)
    parts, config = {}, config or read_prior_config(folder)
    for name, cls in CLASSES.items():
        kept = torch.float32 if name == "vae" and precision == torch.float16 else precision
        # the UNet is by far the largest
        streamed = name == "unet" and smaller_than_stored(folder / name, precision)
        if streamed or config.pruned or in_eight_bits(folder / name):
            parts[name] = streamed_model(cls, folder / name, kept, config.pruned)
            continue
        files, variant = weight_files(folder / name)
        parts[name] = cls.from_pretrained(
            folder / name,
            torch_dtype=kept,
            use_safetensors=bool(files),  # else pickled, which is read without running what it holds
            variant=variant,
        )
    # what is stored is float32, as a CPU gives it
    stored = None if text_encoder or precision != torch.float32 else stored_texts(folder)
    texts = (None, None) if stored else load_text_encoder(folder, precision)
    prior = Prior(parts["vae"], parts["unet"], _scheduler(folder / "scheduler"), *texts, config, stored)
    _check_kind(folder, prior)
    return prior


def _scheduler(folder: Path) -> DDIMScheduler:
    """DDIM with what a scheduler's config says; `from_pretrained` would import all the others to ask them."""
    config = DDIMScheduler.load_config(folder)
    return DDIMScheduler(
        **{name: config[name] for name in signature(DDIMScheduler).parameters if name in config}
    )


def without_bars() -> None:
    """No progress bars of reading and writing weights, which is quick; those of downloads stay."""
    logging.disable_progress_bar()


def check_components(folder: Path) -> None:
    """PriorError unless the folder has all that a prior needs."""
    for name in (*COMPONENTS, "scheduler", "tokenizer"):
        if not (folder / name).is_dir():
            raise PriorError(f"{folder} is no model: it has no {name} folder. Give one in diffusers' format.")


def _check_kind(folder: Path, prior: Prior) -> None:
    """PriorError for diffusion models of another kind (inpainting, upscaling, SDXL, flows), or misfits."""
    unet, scheduler = prior.unet.config, prior.scheduler.config
    channels = prior.vae.config.latent_channels
    scheduler_class = DDIMScheduler.load_config(folder / "scheduler").get("_class_name", "")
    kinds = {
        f"its UNet takes {unet.in_channels} channels and gives {unet.out_channels}, its VAE has {channels}": (
            (unet.in_channels, unet.out_channels) != (channels, channels)
        ),
        "its UNet wants sizes or classes": bool(
            unet.addition_embed_type or unet.class_embed_type or unet.num_class_embeds
        ),
        f"its UNet reads texts of width {unet.cross_attention_dim}, not {prior.text_width}": (
            unet.cross_attention_dim != prior.text_width
        ),
        f"its scheduler is a {scheduler_class}": "Flow" in scheduler_class,
        f"it predicts {scheduler.prediction_type!r}": (
            scheduler.prediction_type not in ("epsilon", "v_prediction", "sample")
        ),
    }
    for kind, found in kinds.items():
        if found:
            raise PriorError(
                f"{folder} is a diffusion model of another kind ({kind}): give a text-to-image model like "
                "Stable Diffusion 1 or 2."
            )
    stored = bool(prior.stored.embeddings)  # then there was a vocabulary
    if not stored and prior.reads_text and len(prior.tokenizer) < prior.text_encoder.config.vocab_size // 2:
        raise PriorError(f"{folder / 'tokenizer'} has no vocabulary: give a whole copy of the model.")
    start, steps = prior.config.start_timestep, scheduler.num_train_timesteps
    if not isinstance(start, int) or not 1 <= start < steps:
        raise PriorError(
            f"{folder} has {steps} timesteps, and sampling would start at {start!r}: give a start_timestep "
            f"from 1 to {steps - 1} in its {PRIOR_CONFIG}."
        )
