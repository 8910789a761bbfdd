"""Stable Diffusion 2.1 with StableSR's parts at their true sizes: parameters, operations, seconds.

With random numbers, so nobody's weights are needed. Operations are counted without memory ("meta" tensors).
One step, the VAE encoder and the VAE decoder with CFW are timed; more steps are that one, multiplied.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from training.benchmarks.light.costs import Row, load, multiply_adds, resident_peak_gb, summary
from training.benchmarks.record import fresh

if TYPE_CHECKING:
    from lwr.models.network import RestorationNetwork
    from training.benchmarks.random_stablesr import Sizes

NAME = "Stable Diffusion 2.1 + StableSR"
STEPS = (200, 4, 1)
TOKENS = 77
FIDELITY = 0.5
KINDS = ("median", "least")
Parts = dict[str, Callable[[], object]]


def rows(side: int, threads: Sequence[int], steps: Sequence[int] = STEPS) -> dict[str, Row]:
    """{name: costs} of passes over side x side pixels without guidance."""
    from training.benchmarks.random_stablesr import FULL

    counted = count(FULL, side)
    timed = fresh(measure, FULL, side, tuple(threads))
    return {f"{NAME}, {n} step{'s' * (n > 1)}": row(counted, timed, n) for n in steps}


def row(counted: Row, timed: Row, steps: int) -> Row:
    """Costs of a pass, from those of its parts."""
    parts, adds = counted["parameters"], counted["adds"]
    total = sum(parts.values())
    seconds = {
        threads: {kind: in_steps({name: one[kind] for name, one in each.items()}, steps) for kind in KINDS}
        for threads, each in timed["seconds"].items()
    }
    return {
        "parameters": {"network": total, "adapter": 0, "parts": parts},
        "gmacs": round(in_steps(adds, steps) / 1e9, 2),
        "megabytes": {"network": round(4 * total / 1e6, 2), "adapters": 0.0},
        "seconds": seconds,
        "peak_gb": timed["peak_gb"],
        "multiplied": steps > 1,
        "random_weights": True,
    }


def in_steps(parts: Row, steps: int) -> float:
    """A pass of several steps: all parts once, but for the step."""
    return round(sum(value * (steps if name == "step" else 1) for name, value in parts.items()), 3)


def count(sizes: "Sizes", side: int) -> Row:
    """Parameters of the parts, and multiply-adds of what a pass does."""
    import torch

    from training.benchmarks.random_stablesr import network

    whole = network(sizes)
    with torch.inference_mode():
        adds = {name: multiply_adds(part) for name, part in parts_of(whole, sizes, side, "meta").items()}
    modules = {
        "UNet": whole.prior.unet,
        "VAE": whole.prior.vae,
        "text encoder": whole.prior.text_encoder,
        "time-aware encoder": whole.encoder,
        "SFT": whole.sft,
        "CFW": whole.cfw,
    }
    return {
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in modules.items()},
        "adds": adds,
    }


def measure(sizes: "Sizes", side: int, threads: Sequence[int]) -> Row:
    """Seconds of the parts by threads, and the peak memory of this process, which should be a new one."""
    import torch

    from lwr.models.convolutions import quicken
    from training.benchmarks.random_stablesr import network

    whole = network(sizes).to_empty(device="cpu")
    fill(whole)
    quicken(whole)  # as networks are that are loaded
    found: dict[str, dict[str, Row]] = {}
    with torch.inference_mode():
        parts = parts_of(whole, sizes, side, "cpu")
        for number in threads:
            torch.set_num_threads(number)
            print(f"{NAME}: {number} threads, load {load()}.", flush=True)
            found[str(number)] = {name: summary([_seconds(part)]) for name, part in parts.items()}
    return {"seconds": found, "peak_gb": round(resident_peak_gb(), 2)}


def parts_of(whole: "RestorationNetwork", sizes: "Sizes", side: int, device: str) -> Parts:
    """What a pass does, by name; the text is encoded once."""
    import torch

    photo = torch.rand(1, 3, side, side, device=device)
    tokens = torch.zeros(1, TOKENS, dtype=torch.long, device=device)
    context = torch.zeros(1, TOKENS, sizes.text, device=device)
    encoded = whole.encode(photo)
    return {
        "text": lambda: whole.prior.text_encoder(tokens),
        "encode": lambda: whole.encode(photo),
        "step": lambda: whole.predict(encoded.latent, 500, encoded.latent, context),
        "decode": lambda: whole.decode(encoded.latent, encoded, FIDELITY),
    }


def fill(whole: "RestorationNetwork") -> None:
    """Weights that keep numbers at their size: of unit gain, norms 1, biases 0."""
    import torch

    torch.manual_seed(0)
    for name, weight in whole.named_parameters():
        if weight.dim() > 1:
            weight.data.normal_(std=1 / math.sqrt(math.prod(weight.shape[1:])))
        else:
            weight.data.fill_(1.0 if name.endswith("weight") else 0.0)
    for name, buffer in whole.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1])[None])


def _seconds(part: Callable[[], object]) -> float:
    """Of one call: it takes so long that what only the first one does matters little."""
    start = time.perf_counter()
    part()
    return time.perf_counter() - start
