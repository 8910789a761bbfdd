"""The ladder as one table: each row is a rung; what really ran is in training/README.md."""

from training.config import Config

AUTOENCODER, END_TO_END = "runs/autoencoder", "runs/end-to-end"
WEIGHTS = (0.5, 2.0, 2.0)  # dehaze, deblur, super-resolution: haze is learned first, blur last

# fmt: off
PRESETS: dict[str, Config] = {
    "autoencoder": Config("autoencoder", None,           AUTOENCODER,    minutes=20, lr=1e-3),
    "prior":       Config("prior",       AUTOENCODER,    "runs/prior",   minutes=4,  lr=5e-4, batch=24),
    "encoder":     Config("encoder",     "runs/prior",   "runs/encoder", minutes=3,  lr=5e-4, batch=16),
    "adapter":     Config("adapter",     "runs/encoder", "runs/adapter", minutes=1,  lr=5e-4),
    "decoder":     Config("decoder",     "runs/adapter", "runs/decoder", minutes=17, lr=1e-3, warmup=50,
                          perceptual=0.1, task_weights=WEIGHTS, clip=0.05, crop=96),
    "end-to-end":  Config("end_to_end",  "runs/decoder", END_TO_END,     minutes=25, lr=5e-4,
                          perceptual=0.1, gan=0.02, task_weights=WEIGHTS, clip=0.01, crop=96),
}
# fmt: on
