"""What every stage shares: a network, the parameters that train, and a forward pass that gives the loss."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from lwr.loading.load import load_network
from lwr.loading.locate import PARTS_CONFIG
from lwr.loading.save import save_network
from lwr.models.config import TextConditioning
from lwr.models.network import OnePass, RestorationNetwork
from training.checkpoint import TrainingError
from training.config import Config
from training.create import create_network
from training.create_parts import network_around
from training.data import mixture, pair_mixture
from training.data.mixture import Batch
from training.data.pair_mixture import PairSampler
from training.data.parts import Sampler
from training.data.rng import RngStreams
from training.losses.adversarial import AdversarialLoss
from training.losses.photo import Logs
from training.stages.adapted import LORA_PARTS, AdaptedNetwork, Loras, TaskLoras

CPU = torch.device("cpu")
TRAINED_PARTS = ("encoder", "sft", "refiner", "cfw", "prior.unet", "prior.vae", "text")


class Stage(nn.Module):
    """One stage. `draw` makes its batches, `forward(batch, rng, progress)` returns (loss, logs)."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        """`device`: where the losses and what else does not train are; the stage itself is moved by `to`."""
        super().__init__()
        self.config = config
        self.start = start_folder(config)
        self.network: RestorationNetwork = _network(config, self.start)
        self.network.requires_grad_(False)
        self.loras: TaskLoras | None = None
        self.adversarial: AdversarialLoss | None = None  # has an optimiser of its own
        self.prepare(self.network)

    @staticmethod
    def draw(config: Config, sampler: Sampler, rng: RngStreams) -> Batch:
        """A step's batch, wherever it is drawn: nothing of the network is needed."""
        if isinstance(sampler, PairSampler):
            return pair_mixture.draw(config, sampler, rng)
        return mixture.draw(config, sampler, rng)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss (scalar) and what to log; `progress` runs from 0 to 1 over the run."""
        raise TypeError(f"{type(self).__name__} has no loss.")

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """What the stage makes of held-out photos, (B,3,H,W) about [0,1], for the eye and for PSNR."""
        raise TypeError(f"{type(self).__name__} has no preview.")

    def prepare(self, module: nn.Module) -> None:
        """Lay out a network, or what is added to it, as the loop needs it."""
        if self.config.channels_last:
            module.to(memory_format=torch.channels_last)
        for layer in module.modules():
            if isinstance(layer, nn.GroupNorm):
                layer.register_forward_pre_hook(_with_input_gradient)

    def restore(
        self,
        batch: Batch,
        rng: RngStreams,
        steps: int,
        fidelity: float | None,
        text: TextConditioning | None = None,
        loras: Loras | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The network's one pass with the batch's adapters at their strengths: (photo or None, latent).

        `steps` 0 is the refiner alone; `fidelity` None leaves the decoder out; `text` None is the prior's;
        `loras` None are those that train.
        """
        network: OnePass = self.network
        if self.loras is not None:
            parts = LORA_PARTS if steps else ("refiner",)
            loras = self.loras.pairs() if loras is None else loras
            network = AdaptedNetwork(self.network, loras, batch.tasks, parts, self.config.checkpointing)
        return network.restore(
            batch.degraded,
            batch.instructions,
            rng.noise,
            steps=steps or None,
            fidelity=fidelity,
            text=text,
            sampler=steps > 0,
        )

    def train_parts(self, parts: Sequence[str]) -> None:
        """Let whole parts of the network train; "text" is the text encoder and the UNet's cross-attention."""
        network = self.network
        frozen = [part for part in parts if part == "text" or part.startswith("prior.")]
        if frozen and network.config.base is not None:
            raise TrainingError(
                f"{', '.join(frozen)} cannot train: the prior {network.config.base} stays as it is. "
                "Train encoder, sft, cfw, or LoRAs."
            )
        for part in parts:
            if part == "text":
                network.prior.text_encoder.requires_grad_(True)
                for name, parameter in network.prior.unet.named_parameters():
                    if ".attn2." in name:
                        parameter.requires_grad_(True)
            elif part in ("refiner", "cfw") and getattr(network, part) is None:
                raise TrainingError(f"This network has no {part} to train: leave it out of --parts.")
            else:
                network.get_submodule(part).requires_grad_(True)

    def save(self, folder: Path) -> None:
        """Write what the next stage, or the product, loads."""
        save_network(self.network, folder)
        if self.loras is not None:
            self.loras.save(folder / "adapters")


def start_folder(config: Config) -> Path | None:
    """The network that a run starts from: `init`/network, or `init` when that is one itself; None: none."""
    places = [Path(config.init) / "network", Path(config.init)] if config.init else []
    return next((place for place in places if (place / PARTS_CONFIG).exists()), None)


def need_refiner(stage: Stage) -> None:
    """TrainingError unless the network has a refiner, as the embedded one has."""
    if stage.network.refiner is None:
        raise TrainingError(
            f"Stage {stage.config.stage!r} trains the refiner, which this network does not have: use stage "
            "cfw."
        )
    if stage.config.refiner_only and stage.network.refiner.reads_sampler():
        raise TrainingError(
            "This network's refiner reads what the UNet makes of the photo, so it cannot train without it: "
            "leave out --refiner-only."
        )


def _network(config: Config, start: Path | None) -> RestorationNetwork:
    """The network that a run starts with."""
    if start is not None:
        network = load_network(start)
        if config.new_unet:
            torch.manual_seed(config.seed)
            unet = network.prior.unet
            network.prior.unet = type(unet).from_config(unet.config)
            network.prior.match_padding(network.prior.unet)
        return network
    return network_around(config) if config.prior else create_network(config)


def _with_input_gradient(module: nn.GroupNorm, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
    # torch 2.13 crashes (CPU, channels-last) in a group norm's backward when the weight wants a gradient and
    # the input does not; a leaf input that wants one costs nothing more below it.
    if module.weight.requires_grad and torch.is_grad_enabled() and not inputs[0].requires_grad:
        return (inputs[0].detach().requires_grad_(),)
    return None
