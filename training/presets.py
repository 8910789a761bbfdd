"""The ladder and the strategies as one table: each row is a run; what really ran is in training/README.md."""

from training.config import Config

RUNS = [f"runs/{name}" for name in ("autoencoder", "prior", "encoder", "wrapping", "decoder", "adapter")]
VAE, PRIOR, ENCODER, WRAPPING, DECODER, ADAPTER = RUNS
# Weights of dehaze, deblur, super-resolution: haze is learned first, blur last.
DETAIL = {"task_weights": (0.5, 2.0, 2.0), "clip": 0.02}
SMALL = DETAIL | {"batch": 32, "crop": 64}  # many different damages a step
LOOK = DETAIL | {"perceptual": 1.0}
AROUND = {"parts": ("encoder", "modulation", "text", "wrapping")}  # all that is not the prior
LORAS = {"lora_parts": ("prior.unet", "encoder", "modulation", "wrapping")}

# fmt: off
PRESETS: dict[str, Config] = {
    # rung                stage          starts from  writes                          see Config
    "autoencoder": Config("autoencoder", None,        VAE,               minutes=25, lr=1e-3, batch=16, crop=96),
    "prior":       Config("prior",       VAE,         PRIOR,             minutes=6,  lr=1e-3, batch=24),
    "encoder":     Config("encoder",     PRIOR,       ENCODER,           minutes=8,  lr=1e-3, batch=16),
    "wrapping":    Config("wrapping",    ENCODER,     WRAPPING,          minutes=50, lr=1e-3, chain_only=True, **SMALL),
    "decoder":     Config("decoder",     WRAPPING,    DECODER,           minutes=25, lr=1e-3, chain_only=True, exact=0, **SMALL | LOOK),
    "adapter":     Config("adapter",     DECODER,     ADAPTER,           minutes=5,  lr=5e-4, **LOOK, **LORAS),
    "end-to-end":  Config("end_to_end",  DECODER,     "runs/end-to-end", minutes=60, lr=2e-4, gan=0.02, **LOOK, **AROUND, **LORAS),
    "distill":     Config("distill",     ADAPTER,     "runs/distill",    minutes=10, lr=2e-4, lora_parts=LORAS["lora_parts"][:3], **DETAIL),
}
# fmt: on
