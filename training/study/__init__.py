"""The study of sharing, LoRA rank and the diffusion prior: its arms, their scores, what these say."""
