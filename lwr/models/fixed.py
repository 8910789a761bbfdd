"""One pass with all decided but the photo, which other programs can run: `lwr export onnx` writes it."""

from collections.abc import Mapping
from copy import copy, deepcopy

import torch
from torch import nn

from lwr.models.config import TextConditioning
from lwr.models.interpolated import InterpolatedConv2d
from lwr.models.lora import add_low_rank
from lwr.models.network import Encoded, OnePass, Prediction, RestorationNetwork
from lwr.models.prior import Prior, StoredTexts
from lwr.models.refiner import REFINER_ALONE, Refiner


class FixedPass(OnePass, nn.Module):
    """A network in one step without noise, at one fidelity, with the weights and the text of now.

    A copy: adapters that are folded in stay, whatever the network does afterwards. (1,3,H,W) in [0,1], sides
    multiples of `network.multiple` -> the same, restored.
    """

    def __init__(
        self, network: RestorationNetwork, instructions: Mapping[str, float], fidelity: float
    ) -> None:
        """`instructions`: see OnePass.restore; ValueError where a pass would draw noise."""
        nn.Module.__init__(self)
        config = network.prior.config
        if config.one_step_noise or config.default_steps != 1 or network.refiner is None:
            raise ValueError(f"{config.id} restores in several steps or from noise.")
        self.fidelity, self.sampler = fidelity, network.needs_sampler(fidelity)
        self.register_buffer("text", network.context(instructions, config.text).clone())
        self.network = _copy_without_text(network)
        fold_perceptual(self.network.refiner, fidelity)
        self.network.refiner.filters.freeze()

    @property
    def prior(self) -> Prior:
        """See OnePass."""
        return self.network.prior

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        """(1,3,H,W) in [0,1] -> (1,3,H,W) in [0,1]."""
        restored, _ = self.restore(
            photo, {}, torch.zeros, steps=1, fidelity=self.fidelity, sampler=self.sampler
        )
        return restored.clamp(0, 1)

    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """See OnePass; what was encoded at the start."""
        return self.text

    def encode(self, photo: torch.Tensor) -> Encoded:
        """See OnePass."""
        return self.network.encode(photo)

    def predict(
        self,
        latent: torch.Tensor,
        timestep: int | torch.Tensor,
        lq_latent: torch.Tensor,
        context: torch.Tensor,
        guidance: float = 1.0,
    ) -> Prediction:
        """See OnePass."""
        return self.network.predict(latent, timestep, lq_latent, context, guidance)

    def decode(
        self, latent: torch.Tensor, encoded: Encoded, fidelity: float, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """See OnePass."""
        return self.network.decode(latent, encoded, fidelity, features)

    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """See OnePass."""
        return self.network.refine(photo, fidelity)

    def needs_sampler(self, fidelity: float) -> bool:
        """See OnePass; as it was at the start."""
        return self.sampler


@torch.no_grad()
def fold_perceptual(refiner: Refiner, fidelity: float) -> None:
    """Let the refiner's weights be those of this fidelity for good, without the low-rank difference."""
    share = min(1.0, (1 - fidelity) / (1 - REFINER_ALONE))
    for module in refiner.modules():
        if isinstance(module, InterpolatedConv2d) and hasattr(module, "perceptual_a"):
            weight = add_low_rank(module.weight, module.perceptual_a, module.perceptual_b, share)
            module.weight = nn.Parameter(weight, requires_grad=False)
            del module.perceptual_a, module.perceptual_b


def _copy_without_text(network: RestorationNetwork) -> RestorationNetwork:
    """A copy without text encoder and tokenizer, whose part is done, its schedule plain numbers."""
    bare = copy(network)
    bare._modules = dict(network._modules)
    bare.prior = copy(network.prior)
    bare.prior._modules = {k: v for k, v in network.prior._modules.items() if k != "text_encoder"}
    bare.prior.tokenizer, bare.prior.stored = None, StoredTexts()
    bare = deepcopy(bare).eval()
    schedule = bare.prior.scheduler.alphas_cumprod
    bare.prior.scheduler.alphas_cumprod = schedule.tolist()  # a tensor's numbers are no constants of a graph
    return bare
