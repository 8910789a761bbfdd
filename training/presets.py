"""The ladder as one table: each row is a rung; minutes are what two CPU cores got (training/README.md)."""

from training.config import Config

AUTOENCODER, END_TO_END = "runs/autoencoder", "runs/end-to-end"

# fmt: off
PRESETS: dict[str, Config] = {
    "autoencoder": Config("autoencoder", None,           AUTOENCODER,    minutes=14, lr=1e-3, perceptual=0.1),
    "prior":       Config("prior",       AUTOENCODER,    "runs/prior",   minutes=10, lr=5e-4, batch=24),
    "encoder":     Config("encoder",     "runs/prior",   "runs/encoder", minutes=7,  lr=5e-4, batch=16),
    "adapter":     Config("adapter",     "runs/encoder", "runs/adapter", minutes=2,  lr=5e-4, batch=16),
    "decoder":     Config("decoder",     "runs/adapter", "runs/decoder", minutes=8,  lr=1e-3),
    "end-to-end":  Config("end_to_end",  "runs/decoder", END_TO_END,     minutes=60, lr=6e-4, perceptual=0.1),
}
# fmt: on
