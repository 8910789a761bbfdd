"""A new, untrained embedded network: the sizes of what ships, and its byte-pair tokenizer.

The 2x2 space-to-depth in front of the VAE keeps full-resolution convolutions off the two cores that serve it:
f8 latents with 16 channels from three levels of 32, 64 and 128 channels.
"""

import json
from dataclasses import replace

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lwr.models.config import EncoderConfig, NetworkConfig, PriorConfig, RefinerConfig, SFTConfig
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior
from lwr.models.refiner import Refiner
from training.config import Config

TEXT_LENGTH = 16
TEXT_WIDTH = 64
VAE_CHANNELS = (32, 64, 128)
UNET_CHANNELS = (96, 112, 128)
LATENT_CHANNELS = 16
PIXEL_CHANNELS = 12  # 3 colours of 2x2 pixels
NETWORK = NetworkConfig(
    encoder=EncoderConfig(
        latent_channels=LATENT_CHANNELS,
        width=64,
        multipliers=(1, 2, 2),
        blocks=1,
        attention_levels=(1,),
        heads=4,
        out_channels=64,
        groups=16,
    ),
    sft=SFTConfig(feature_channels=64, hidden=48, groups=16, residual=True),
    refiner=RefinerConfig(
        channels=VAE_CHANNELS,
        blocks=(2, 6, 6),
        scales=(0.064, 0.139, 0.047),  # measured on the VAE that ships
        pixel_channels=PIXEL_CHANNELS,
        filters=(24, 15),
        gates=True,
        unet_channels=UNET_CHANNELS[0],
        decoder_levels=1,
    ),
)
SENTENCES = (  # what the tokenizer's merges are learned from
    "remove the haze fog mist smog and clear the air",
    "remove the blur camera shake motion and sharpen the photo out of focus",
    "enlarge the photo and restore its detail low resolution compressed small",
    "remove the noise grain rain snow scratches and brighten the dark photo",
    "colourise the old photo fill the hole remove jpeg artefacts",
)


def create_network(config: Config) -> RestorationNetwork:
    """A random embedded network; the SFT layers and the pixels of the refiner start as identities."""
    torch.manual_seed(config.seed)
    tokenizer = _tokenizer()
    vae, unet = _vae(), _unet()
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=config.prediction,
        clip_sample=False,
        set_alpha_to_one=True,
    )
    prior_config = PriorConfig(
        revision="new",
        patch_size=2,
        start_timestep=250,
        one_step_noise=False,
        default_steps=1,
        default_fidelity=0.9,
        edges=True,
    )
    prior = Prior(vae, unet, scheduler, _text_encoder(tokenizer), tokenizer, prior_config)
    return RestorationNetwork(prior, NETWORK)


def grow_refiner(network: RestorationNetwork, **sizes: int) -> None:
    """Give a network's refiner other sizes; with another rank the perceptual weights start again."""
    config = replace(network.config.refiner, **sizes)
    network.config = replace(network.config, refiner=config)
    grown = Refiner(config)
    new = "perceptual_" if "perceptual_rank" in sizes else " "
    kept = {name: w for name, w in network.refiner.state_dict().items() if new not in name}
    grown.load_state_dict(kept, strict=False)
    network.refiner = grown


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=PIXEL_CHANNELS,
        out_channels=PIXEL_CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=VAE_CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=256,
        scaling_factor=1.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=UNET_CHANNELS,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(3, 4, 4),  # heads a level, by the old name that diffusers keeps
        norm_num_groups=16,
        use_linear_projection=True,
    )


def _text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _tokenizer() -> CLIPTokenizer:
    """Byte-pair encoding with merges learned from a few sentences; any other text falls back to letters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=512, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    words = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(f"{letter}</w>" for letter in alphabet)]
    words += [first + second for first, second in merges]
    vocab = {word: index for index, word in enumerate(dict.fromkeys(words))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TEXT_LENGTH)
