"""Public StableSR checkpoints, converted to this program's folders."""
