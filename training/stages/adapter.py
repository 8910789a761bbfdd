"""LoRAs alone, on the frozen network: all that a new task needs, or more training for one task."""

from training.config import Config
from training.stages.decoder import FidelityStage


class Adapters(FidelityStage):
    """Trains the LoRA pairs in `config.parts` of every task in the config."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        prefixes = tuple(f"{part}/".replace(".", "/") for part in config.parts)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith(prefixes))
