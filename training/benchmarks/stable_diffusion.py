"""Full-size check without anybody's weights: Stable Diffusion 2.1-base with StableSR's parts, random numbers.

`python -m training.benchmarks.stable_diffusion` writes a checkpoint with the keys and shapes of the public one (5.8 GB),
converts it, and restores a 512x512 photo in one step with what comes out, each in its own process; seconds
and peak memory go to training/results/sd.json. With a GPU also 1 and 4 steps at 512, and 2048 in tiles.
"compiled" is with torch.compile on the UNet. The results look like noise: what is measured is that it runs,
how long, and in how much memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

OUT = Path("training/results/sd.json")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmarks.stable_diffusion", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, help="folder for 10 GB of weights [a temporary one]")
    parser.add_argument("--scene", help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scene:
        print(json.dumps(_scene(arguments.scene, arguments.model)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = _all(arguments.work or Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def _all(folder: Path) -> dict[str, Any]:
    import torch

    from training.benchmarks.random_stablesr import FULL, write

    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, model = folder / "stablesr-random.ckpt", folder / "stablesr-random"
    if not checkpoint.exists():
        write(checkpoint, FULL)
    results: dict[str, Any] = {
        "command": "python -m training.benchmarks.stable_diffusion",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "diffusers")},
        "checkpoint_gb": round(checkpoint.stat().st_size / 1e9, 2),
    }
    if not model.exists():
        seconds, peak = _run("-m", "lwr", "convert", "stablesr", str(checkpoint), str(model))[1:]
        share = round(peak / (checkpoint.stat().st_size / 1e9), 2)
        results["convert"] = {"seconds": seconds, "peak_gb": peak, "peak_over_file": share}
    scenes = ["cpu float32 512 1", "cpu bfloat16 512 1", "cpu auto 512 1 memory 4", "cpu float32 512 4"]
    scenes += ["cpu float32 512 4 compiled"]
    if torch.cuda.is_available():
        results["gpu"] = torch.cuda.get_device_name()
        scenes += ["cuda auto 512 1", "cuda auto 512 4", "cuda auto 2048 1", "cuda auto 512 4 compiled"]
        scenes += ["cuda auto 512 1 memory 3.2", "cuda auto 512 4 profile"]
    for scene in scenes:
        words = ["-m", "training.benchmarks.stable_diffusion", "--scene", scene, "--model", str(model)]
        output, _, peak = _run(*words)
        results[scene] = json.loads(output.splitlines()[-1])
        results[scene].setdefault("peak_gb", peak)
    return results


def _run(*words: str) -> tuple[str, float, float]:
    """(what a command says, seconds, its peak in GB)."""
    begun = time.perf_counter()
    with tempfile.NamedTemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, *words], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with status {process.returncode}")
    return said, round(time.perf_counter() - begun, 1), round(usage.ru_maxrss / 1e6, 2)


def _scene(scene: str, model: str) -> dict[str, Any]:
    """Seconds of loading and of the fastest of a few passes; on a GPU also its own peak."""
    import torch

    from lwr.images.files import load, to_pil
    from lwr.restore import Restorer

    device, precision, side, steps, *more = scene.split()
    memory = float(more[1]) if "memory" in more else None
    begun = time.perf_counter()
    restorer = Restorer.load(
        model, device=device, precision=precision if not memory else "auto", memory_gb=memory
    )
    found: dict[str, Any] = {"load_seconds": round(time.perf_counter() - begun, 1)}
    if "compiled" in more:
        restorer.network.prior.unet.compile()
    photo = load(sorted(Path("lwr/samples").glob("*.jpg"))[0]).rgb[..., :420, :420]
    photo = to_pil(torch.nn.functional.interpolate(photo, size=(int(side),) * 2, mode="area"))

    def work() -> float:
        restored = restorer(photo, task="super-resolution", scale=1, steps=int(steps))
        if not restored.loaded.rgb.isfinite().all():
            raise SystemExit("the photo holds numbers that are none")
        return restored.seconds

    if device == "cuda" or "compiled" in more:
        found["first_seconds"] = round(work(), 3)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found["seconds"] = round(min(work() for _ in range(1 if device == "cpu" else 5)), 3)
    found |= {"precision": str(restorer.network.prior.unet.dtype), "tile": restorer.tile}
    if device == "cuda":
        found["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    if "profile" in more or device == "cpu":
        found["share_of_time"] = _shares(restorer, work)
    return found


def _shares(restorer: Any, work: Callable[[], float]) -> dict[str, float]:
    """What share of a pass each stage takes."""
    import torch

    network, spent = restorer.network, {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            begun = time.perf_counter()
            result = function(*arguments)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
            return result

        return run

    stages = {"encode": "VAE encoder", "predict": "encoder and UNet", "decode": "VAE decoder and CFW"}
    for method, name in stages.items():
        setattr(network, method, timed(name, getattr(network, method)))
    whole = work()
    shares = {name: round(seconds / whole, 2) for name, seconds in spent.items()}
    return shares | {"the rest": round(1 - sum(spent.values()) / whole, 2)}


if __name__ == "__main__":
    main()
