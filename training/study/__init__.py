"""The study: separate or joint training, what LoRA rank buys, and whether the diffusion prior helps."""
