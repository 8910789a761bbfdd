"""The last rung, and all that a new task needs: one LoRA per task on the frozen network."""

from training.config import Config
from training.stages.end_to_end import EndToEnd


class Adapters(EndToEnd):
    """The end-to-end rung's losses; trains the LoRA pairs in `config.parts` of every task in the config."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network.requires_grad_(False)
        prefixes = tuple(f"{part}/".replace(".", "/") for part in config.parts)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.startswith(prefixes))
