"""The ladder as one table: each row is a rung; what really ran is in training/README.md."""

from training.config import Config

RUNS = [f"runs/{name}" for name in ("autoencoder", "prior", "encoder", "wrapping", "decoder", "end-to-end")]
VAE, PRIOR, ENCODER, WRAPPING, DECODER, END = RUNS
# Weights of dehaze, deblur, super-resolution: haze is learned first, blur last.
DETAIL = {"task_weights": (0.5, 2.0, 2.0), "clip": 0.02}
SMALL = DETAIL | {"batch": 32, "crop": 64}  # many different damages a step
LOOK = DETAIL | {"perceptual": 1.0}

# fmt: off
PRESETS: dict[str, Config] = {
    "autoencoder": Config("autoencoder", None,     VAE,            minutes=25, lr=1e-3, batch=16, crop=96),
    "prior":       Config("prior",       VAE,      PRIOR,          minutes=6,  lr=1e-3, batch=24),
    "encoder":     Config("encoder",     PRIOR,    ENCODER,        minutes=8,  lr=1e-3, batch=16),
    "wrapping":    Config("wrapping",    ENCODER,  WRAPPING,       minutes=40, lr=1e-3, **SMALL),
    "decoder":     Config("decoder",     WRAPPING, DECODER,        minutes=9,  lr=1e-3, exact=0, **LOOK),
    "end-to-end":  Config("end_to_end",  DECODER,  END,            minutes=60, lr=2e-4, gan=0.02, **LOOK),
    "adapter":     Config("adapter",     DECODER,  "runs/adapter", minutes=5,  lr=5e-4, **LOOK),
}
# fmt: on
