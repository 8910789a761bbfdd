"""Full-size check without anybody's weights: Stable Diffusion 2.1-base with StableSR's parts, random numbers.

`python -m training.benchmarks.stable_diffusion` writes a checkpoint with the keys and shapes of the public
one (5.8 GB), converts it, and restores a 512x512 photo in one step with what comes out, each in its own
process; seconds and peak memory go to training/results/sd.json. With a GPU also 4 steps, and 2048 in tiles.
"compiled" is with torch.compile on the UNet. The results look like noise: what is measured is that it runs,
how long, and in how much memory.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.benchmarks.record import RESULTS, fresh, made_with, run, write
from training.command_line import parse
from training.machine import ROOT, peak_gb

COMMAND = "python -m training.benchmarks.stable_diffusion"
SCENES = (  # device, precision, pixels a side, steps
    "cpu float32 512 1", "cpu bfloat16 512 1", "cpu auto 512 1 memory 4", "cpu float32 512 4",
    "cpu float32 512 4 compiled",
)  # fmt: skip
GPU_SCENES = (
    "cuda auto 512 1", "cuda auto 512 4", "cuda auto 2048 1", "cuda auto 512 4 compiled",
    "cuda auto 512 1 memory 3.2", "cuda auto 512 4 profile",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    out: Path = RESULTS / "sd.json"  # where the figures go
    work: Path | None = None  # folder for 10 GB of weights; none = a temporary one


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options.work or Path(folder))
    write(results | {"weights": "random numbers"}, options.out)


def measure(folder: Path) -> dict[str, Any]:
    """Figures of converting and of every scene; `folder` keeps the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, model = folder / "stablesr-random.ckpt", folder / "stablesr-random"
    if not checkpoint.exists():
        fresh(write_checkpoint, checkpoint)
    size = checkpoint.stat().st_size / 1e9
    results = made_with(COMMAND) | {"checkpoint_gb": round(size, 2)}
    if not model.exists():
        converted = run("-m", "lwr", "convert", "stablesr", str(checkpoint), str(model))
        results["convert"] = converted | {"peak_over_file": round(converted["peak_gb"] / size, 2)}
    gpu = fresh(gpu_name)
    results |= {"gpu": gpu} if gpu else {}
    for name in SCENES + (GPU_SCENES if gpu else ()):
        results[name] = fresh(scene, name, str(model))
    return results


def write_checkpoint(path: Path) -> None:
    """Random weights with the keys and shapes of the public checkpoint."""
    from training.benchmarks.random_stablesr import FULL, write

    write(path, FULL)


def gpu_name() -> str | None:
    """The GPU, if there is one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def scene(name: str, model: str) -> dict[str, Any]:
    """Seconds of loading and of the fastest of a few passes; on a GPU also its own peak."""
    import torch

    from lwr.images.files import load, to_pil
    from lwr.restore import Restorer

    device, precision, side, steps, *more = name.split()
    memory = float(more[1]) if "memory" in more else None
    start = time.perf_counter()
    restorer = Restorer.load(
        model, device=device, precision=precision if not memory else "auto", memory_gb=memory
    )
    found: dict[str, Any] = {"load_seconds": round(time.perf_counter() - start, 1)}
    if "compiled" in more:
        restorer.network.prior.unet.compile()
    photo = load(min((ROOT / "lwr" / "samples").glob("*.jpg"))).rgb[..., :420, :420]
    photo = to_pil(torch.nn.functional.interpolate(photo, size=(int(side),) * 2, mode="area"))

    def work() -> float:
        restored = restorer(photo, task="super-resolution", scale=1, steps=int(steps))
        if not restored.loaded.rgb.isfinite().all():
            raise SystemExit("The photo holds numbers that are not finite.")
        return restored.seconds

    if device == "cuda" or "compiled" in more:
        found["first_seconds"] = round(work(), 3)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found["seconds"] = round(min(work() for _ in range(1 if device == "cpu" else 5)), 3)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else peak_gb()
    found |= {"precision": str(restorer.network.prior.unet.dtype), "tile": restorer.tile}
    found["peak_gb"] = round(peak, 2)
    if "profile" in more or device == "cpu":
        found["share_of_time"] = _shares(restorer, work)
    return found


def _shares(restorer: Any, work: Callable[[], float]) -> dict[str, float]:
    """What share of a pass each stage takes."""
    import torch

    network, spent = restorer.network, {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
            return result

        return watched

    stages = {"encode": "VAE encoder", "predict": "encoder and UNet", "decode": "VAE decoder and CFW"}
    for method, name in stages.items():
        setattr(network, method, timed(name, getattr(network, method)))
    whole = work()
    shares = {name: round(seconds / whole, 2) for name, seconds in spent.items()}
    return shares | {"the rest": round(1 - sum(spent.values()) / whole, 2)}


if __name__ == "__main__":
    main()
