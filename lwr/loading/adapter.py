"""One task's LoRA: PEFT's folder format, folded into the weights of the network that runs it.

Folding undoes exactly: `detach` puts the original tensors back, bit for bit.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Condition
from typing import Literal

import torch
from cachetools import LRUCache, cached
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from lwr.loading.eight_bits import in_eight_bits
from lwr.loading.hub import HubError, Pin, fetch, is_repo
from lwr.loading.priors import PriorError
from lwr.loading.streaming import stream
from lwr.models.lora import Pair, folded

PEFT_PREFIX = "base_model.model."
WEIGHTS = "adapter_model.safetensors"
METADATA = "adapter.json"
CONFIG = "adapter_config.json"
FORMAT_VERSION = 1
CACHE_BYTES = 256_000_000  # of adapters from the Hub that stay in memory; one of ours takes 4 MB


@dataclass(frozen=True)
class AdapterMetadata:
    """What an adapter is for; checked before it is attached."""

    task: str
    prior: str  # id of the prior that it was trained on
    prior_revision: str
    rank: int  # of most pairs; a pair's own rank is in its shape
    alpha: float
    version: str
    sha256: str = ""  # of the weights file
    format_version: int = FORMAT_VERSION

    @property
    def scaling(self) -> float:
        """PEFT's alpha / rank, the same for every pair."""
        return self.alpha / self.rank


class AdapterError(ValueError):
    """An adapter that is missing, damaged, or made for something else; one sentence with what to do."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """Metadata and LoRA pairs: `pairs[module name] = (A, B)`."""

    metadata: AdapterMetadata
    pairs: Mapping[str, Pair]
    source: str = ""  # "NAMESPACE/NAME@REVISION" that it came from; "" = a folder
    notes: tuple[str, ...] = ()  # for the user, such as that there was no network
    newer: str | None = None  # "NAMESPACE/NAME@vX.Y.Z", a later version than the one that was asked for

    @classmethod
    def fetch(
        cls, repo: str, revision: str | None = None, task: str | None = None, prior: str | None = None
    ) -> "Adapter":
        """The adapter of a Hub repository: downloaded once, verified, kept in memory for the next caller.

        `revision` is a version tag, a branch (resolved to its commit, which `source` and `notes` name) or a
        commit. `task` and the id `prior` are what it must be made for, if given. Raises HubError when it
        cannot be had and AdapterError when it is not what it should be.
        """
        pin = Pin(repo, revision)
        if pin.is_fixed:
            adapter = remembered(str(pin), lambda: _fetched(pin))
        else:  # it may mean other files today
            found = _fetched(pin)
            kept = remembered(found.source, lambda: replace(found, notes=()))
            adapter = replace(kept, notes=found.notes)
        _check(adapter.metadata, adapter.source, task, prior)
        return adapter

    @classmethod
    def open(cls, name: str, task: str | None = None, prior: str | None = None) -> "Adapter":
        """The adapter in a local folder, or in a Hub repository "NAMESPACE/NAME@REVISION"."""
        if not name:
            raise AdapterError("The adapter has no name: give a folder or NAMESPACE/NAME@REVISION.")
        pin = Pin.parse(name)
        if Path(name).is_dir() or not is_repo(pin.repo):
            return load_adapter(Path(name), task, prior)
        return cls.fetch(pin.repo, pin.revision, task, prior)

    @property
    def name(self) -> str:
        """ "NAMESPACE/NAME@REVISION" of one from the Hub, else "PRIOR/TASK@VERSION"."""
        return self.source or f"{self.metadata.prior}/{self.metadata.task}@{self.metadata.version}"

    @property
    def bytes(self) -> int:
        """Memory that its tensors take."""
        return sum(a.nbytes + b.nbytes for a, b in self.pairs.values())


def save_adapter(adapter: Adapter, folder: Path, bits: Literal[8, 16] = 16) -> Path:
    """Write PEFT's adapter_config.json and adapter_model.safetensors (half precision) plus adapter.json.

    Other programs do not read what is in 8 `bits`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (a, b) in adapter.pairs.items():
        tensors[f"{PEFT_PREFIX}{name}.lora_A.weight"] = a.half().contiguous()
        tensors[f"{PEFT_PREFIX}{name}.lora_B.weight"] = b.half().contiguous()
    stored = in_eight_bits(tensors) if bits == 8 else tensors
    save_file(stored, folder / WEIGHTS, metadata={"format": "pt"})
    metadata = {**asdict(adapter.metadata), "sha256": _sha256(folder / WEIGHTS)}
    (folder / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
    ranks = {name: len(a) for name, (a, _) in adapter.pairs.items() if len(a) != adapter.metadata.rank}
    config = {
        "peft_type": "LORA",
        "r": adapter.metadata.rank,
        "lora_alpha": adapter.metadata.alpha,
        "rank_pattern": ranks,
        "alpha_pattern": {name: rank * adapter.metadata.scaling for name, rank in ranks.items()},
        "lora_dropout": 0.0,
        "bias": "none",
        "base_model_name_or_path": adapter.metadata.prior,
        "revision": adapter.metadata.prior_revision,
        "target_modules": sorted(adapter.pairs),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder


def load_adapter(folder: Path, task: str | None = None, prior: str | None = None) -> Adapter:
    """Read and verify one adapter folder, for a task and the id of a prior if given.

    AdapterError says what is wrong.
    """
    for name in (METADATA, WEIGHTS):
        if not (folder / name).exists():
            what = f"The adapter for {task!r} is not complete" if task else f"{folder} is no adapter"
            raise AdapterError(f"{what}: {folder / name} is missing.")
    try:
        metadata = AdapterMetadata(**json.loads((folder / METADATA).read_text()))
    except (ValueError, TypeError) as error:  # no JSON, or not these fields
        raise AdapterError(f"{folder / METADATA} is damaged ({error}): fetch the adapter again.") from error
    _check(metadata, str(folder), task, prior)
    if metadata.sha256 != _sha256(folder / WEIGHTS):
        why = f"its hash differs from {METADATA}"
        raise AdapterError(f"{folder / WEIGHTS} is damaged ({why}): fetch it again.")
    try:
        read = stream(folder / WEIGHTS, torch.float32)
        tensors = {key.removeprefix(PEFT_PREFIX): tensor for key, tensor in read}
        names = sorted({key.rsplit(".lora_", 1)[0] for key in tensors})
        pairs = {n: (tensors[f"{n}.lora_A.weight"], tensors[f"{n}.lora_B.weight"]) for n in names}
        return Adapter(metadata, pairs)
    except PriorError as error:  # scales of weights in 8 bits
        raise AdapterError(str(error).replace("the model", "the adapter")) from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise AdapterError(
            f"{folder / WEIGHTS} holds no LoRA pairs ({error}): export the adapter again."
        ) from error


def _check(metadata: AdapterMetadata, source: str, task: str | None, prior: str | None) -> None:
    """AdapterError unless the adapter is for this task and prior, and of a known format."""
    if task not in (None, metadata.task) or prior not in (None, metadata.prior):
        raise AdapterError(
            f"{source} is an adapter for task {metadata.task!r} on prior {metadata.prior!r}, "
            f"not for {task or metadata.task!r} on {prior or metadata.prior!r}: give the matching one."
        )
    if metadata.format_version != FORMAT_VERSION:
        raise AdapterError(
            f"{source} has adapter format {metadata.format_version!r}, and only {FORMAT_VERSION} is known: "
            "update this program."
        )


def _fetched(pin: Pin) -> Adapter:
    """The adapter of a repository as it is today, from the Hub or the cache on disk."""
    found = fetch(pin, (METADATA, WEIGHTS, CONFIG))
    adapter = load_adapter(found.folder)
    newer = found.newer if found.newer and _replaces(found.newer, adapter.metadata) else None
    return replace(adapter, source=found.name, notes=found.notes, newer=newer)


def _replaces(name: str, metadata: AdapterMetadata) -> bool:
    """Whether the published adapter `name` is for the same network and task."""
    try:
        folder = fetch(Pin.parse(name), (METADATA,)).folder
        other = json.loads((folder / METADATA).read_text())
    except (HubError, OSError, ValueError):
        return False
    return all(other.get(key) == getattr(metadata, key) for key in ("task", "prior", "prior_revision"))


def adapter_memory(budget: int) -> Callable[[str, Callable[[], Adapter]], Adapter]:
    """A function (name, load) that gives the adapter of that name, which `load` makes when it is not kept.

    Those that were used last stay, up to `budget` bytes, at least one. What `load` raises is not kept.
    Several callers that want one adapter at the same time wait for a single loading.
    """

    @cached(
        LRUCache(budget, getsizeof=lambda one: min(one.bytes, budget)),
        key=lambda name, load: name,
        condition=Condition(),
    )
    def kept(name: str, load: Callable[[], Adapter]) -> Adapter:
        return load()

    return kept


remembered = adapter_memory(CACHE_BYTES)


class Attachment:
    """Adapters folded into a network; remembers the original tensors so that `detach` is exact."""

    def __init__(
        self, network: nn.Module, lifted: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Within `lifted()` the weights can be replaced: offloading keeps them elsewhere."""
        self.network, self.lifted = network, lifted
        self.originals: dict[str, torch.Tensor] = {}
        self._attached: list[tuple[Adapter, float]] = []

    @torch.no_grad()
    def attach(self, adapters: Sequence[Adapter], strengths: Sequence[float]) -> None:
        """Fold these adapters in, instead of those before; AdapterError when one is of other shapes.

        Adds up in the order of the tasks' names, so that the order of a sentence makes no difference.
        """
        wanted = list(zip(adapters, strengths, strict=True))
        if wanted == self._attached:
            return
        with self.lifted():
            self._detach()
            self._fold(sorted(wanted, key=lambda pair: pair[0].metadata.task))
        self._attached = wanted

    @torch.no_grad()
    def detach(self) -> None:
        """Put every original tensor back, bit for bit."""
        with self.lifted():
            self._detach()

    def _fold(self, pairs: Sequence[tuple[Adapter, float]]) -> None:
        parameters = dict(self.network.named_parameters())  # offloading replaces them now and then
        factors = [(one.pairs, strength * one.metadata.scaling) for one, strength in pairs]
        try:
            weights = folded(parameters, factors)
        except KeyError as error:
            tasks = " and ".join(repr(one.metadata.task) for one, _ in pairs)
            raise AdapterError(
                f"The adapter for {tasks} does not fit this network at {error.args[0]}: "
                f"it was made for another version of the prior {pairs[0][0].metadata.prior!r}."
            ) from error
        for name, weight in weights.items():
            parameter = parameters[name]
            self.originals[name] = parameter.data
            parameter.data = weight.to(parameter.dtype)

    def _detach(self) -> None:
        self._attached = []
        parameters = dict(self.network.named_parameters()) if self.originals else {}
        for name, original in self.originals.items():
            parameters[name].data = original
        self.originals = {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
