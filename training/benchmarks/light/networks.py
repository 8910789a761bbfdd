"""Networks as `Restorer.load` takes them: what they are made of, and the product's own pass."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from training.benchmarks.light.costs import Contender, Row, Run, multiply_adds

if TYPE_CHECKING:
    from lwr.models.network import RestorationNetwork

ADAPTERS = "adapters"  # folder in a network's folder


def contender(model: str, task: str, side: int) -> Contender:
    """What is counted, not timed, of the network `model`; the pass is that of `task` at its defaults."""
    from lwr.restore import Restorer

    restorer = Restorer.load(model, device="cpu")
    run = start(model, task, side, "float32")  # rounding counts some products three times, by their halves
    run(2)  # folds the adapter in, which is no part of later passes
    by_part = parts(restorer.network)  # first: it has the text encoder read
    known = {
        "parameters": {
            "network": sum(p.numel() for p in restorer.network.parameters()),
            "adapter": max(map(adapter_parameters, restorer.folder.glob(f"{ADAPTERS}/*")), default=0),
            "parts": by_part,
        },
        "gmacs": round(multiply_adds(lambda: run(1)) / 1e9, 2),
        "megabytes": megabytes(restorer.folder),
        "weights": weights_of(restorer.folder),
    }
    return Contender(start, (model, task, side), known)


def start(model: str, task: str, side: int, precision: str = "auto") -> Run:
    """The product's pass over a sample photo of side x side pixels."""
    import torch

    from lwr.images.files import to_pil
    from lwr.restore import Restorer
    from training.benchmarks.speed import square_photo

    restorer = Restorer.load(model, device="cpu", precision=precision)
    photo = to_pil(square_photo(side))

    def run(threads: int) -> object:
        torch.set_num_threads(threads)
        return restorer(photo, task=task)

    return run


def parts(network: "RestorationNetwork") -> dict[str, int]:
    """Parameters of each part; none are in two."""
    vae = network.prior.vae
    modules = {
        "VAE encoder": (vae.encoder, vae.quant_conv),
        "VAE decoder": (vae.decoder, vae.post_quant_conv),
        "UNet": (network.prior.unet,),
        "text encoder": (network.prior.text_encoder,),
        "time-aware encoder": (network.encoder,),
        "SFT": (network.sft,),
        "CFW": (network.cfw,),
        "refiner": (network.refiner,),
    }
    counts = {
        name: sum(p.numel() for module in found if module is not None for p in module.parameters())
        for name, found in modules.items()
    }
    return {name: count for name, count in counts.items() if count}


def adapter_parameters(folder: Path) -> int:
    """Numbers in an adapter's weights."""
    from lwr.loading.streaming import count

    return count(folder / "adapter_model.safetensors")


def megabytes(folder: Path) -> Row:
    """On disk: the network, and all its adapters."""
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    adapters = sum(size for path, size in sizes.items() if path.relative_to(folder).parts[0] == ADAPTERS)
    return {"network": round((sum(sizes.values()) - adapters) / 1e6, 2), "adapters": round(adapters / 1e6, 2)}


def weights_of(folder: Path) -> str:
    """Digits that follow from all weights of a network and its adapters, not from what follows from them."""
    from lwr.loading.texts import FILE

    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*.safetensors") if path.name != FILE):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
