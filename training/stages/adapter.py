"""LoRAs alone, on the frozen network: all that a new task needs, or more training for one task."""

from training.config import Config
from training.stages.fidelity import FidelityStage


class Adapters(FidelityStage):
    """Trains the LoRA pairs in `config.lora_parts` of every task in the config."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.train_loras(config.lora_parts)
        if config.chain_only:
            self.blindfold()
