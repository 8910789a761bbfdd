"""Rung 5: CFW's second set of weights, for the look: what the photo shows at fidelity 0.5.

Trains nothing that fidelity 1 uses, so the exact photo stays as the rung before made it.
"""

import dataclasses

from lwr.models.cfw import ControllableFeatureWrapping
from training.config import Config
from training.stages.base import checkpointed
from training.stages.fidelity import FidelityStage


class Decoder(FidelityStage):
    """Trains the low-rank difference between CFW's two sets of weights, all tasks together."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.need_chain()
        if config.new_look or not self.network.config.wrapping.look_rank:
            self._grow(config.look_rank)
        for name, parameter in self.network.wrapping.named_parameters():
            parameter.requires_grad_("look_" in name)
        if config.chain_only:
            self.blindfold()

    def _grow(self, rank: int) -> None:
        """Give CFW a second set of weights that is still the same as the first."""
        network = self.network
        network.config = dataclasses.replace(
            network.config, wrapping=dataclasses.replace(network.config.wrapping, look_rank=rank)
        )
        grown = ControllableFeatureWrapping(network.config.wrapping)
        exact = {name: w for name, w in network.wrapping.state_dict().items() if "look_" not in name}
        grown.load_state_dict(exact, strict=False)
        if self.config.checkpointing:
            grown.without_decoder = checkpointed(grown.without_decoder)
        network.wrapping = grown
