"""Which adapter a task takes: one that a caller gave, the pinned one on the Hub, or the one that shipped."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lwr.loading.adapter import Adapter, AdapterError, load_adapter
from lwr.loading.hub import DamagedError, HubError
from lwr.loading.priors import bundled, read_prior_config
from lwr.models.config import PriorConfig

HUB_PAUSE = 60.0  # seconds before an unreachable Hub is asked again, while a shipped adapter stands in


class AdapterChoice:
    """The adapters of one network; each is loaded when a task first needs it."""

    def __init__(
        self, folder: Path | None, prior: PriorConfig, pins: Mapping[str, str], without: Sequence[str] = ()
    ) -> None:
        """`pins` {task: "NAMESPACE/NAME@REVISION"} are on the Hub; the network does `without` an adapter.

        `folder` is the network's; None is a prior alone, which does everything as well as it can by itself.
        """
        self.folder, self.prior, self.pins, self.without = folder, prior, dict(pins), tuple(without)
        self.given: dict[str, Adapter] = {}
        self._beside: dict[str, Adapter] = {}
        self._standing_in: dict[str, tuple[float, Adapter]] = {}  # task -> (until when, which)

    def give(self, adapter: Adapter) -> None:
        """Choose this adapter for its task from now on."""
        self.given[adapter.metadata.task] = adapter

    def needed(self, task: str) -> bool:
        """Whether the task takes an adapter on this network."""
        if task in self.given or task in self.pins or self.folder is None:
            return self.folder is not None or task in self.given
        return task not in self.without or self._shipped_folder(task).is_dir()

    def of(self, task: str) -> Adapter:
        """The adapter for a task, fetched if need be. AdapterError when there is none that may be used.

        A Hub that cannot be reached, or has nothing there, is no error where an adapter came with the
        network: that one stands in, and its `notes` say so. A damaged download is never replaced silently.
        """
        if task in self.given or task not in self.pins:
            return self.given.get(task) or self._shipped(task)
        until, stand_in = self._standing_in.get(task, (0.0, None))
        if stand_in is not None and time.monotonic() < until:
            return stand_in
        try:
            adapter = Adapter.open(self.pins[task], task, self.prior.id)
        except HubError as error:
            if isinstance(error, DamagedError) or not self._shipped_folder(task).is_dir():
                raise AdapterError(str(error)) from error
            shipped = self._shipped(task)
            note = f"{error} The adapter that came with this program, {shipped.name}, was used instead."
            adapter = replace(shipped, notes=(note,))
            self._standing_in[task] = (time.monotonic() + HUB_PAUSE, adapter)
        else:
            self.check_revision(adapter)
        return adapter

    def planned(self, task: str) -> str:
        """The name of the adapter that `of` would give, without fetching it."""
        fetches = task in self.pins and task not in self.given
        return self.pins[task] if fetches else self.of(task).name

    def check_revision(self, adapter: Adapter) -> None:
        """AdapterError when the adapter was trained on another revision of the prior."""
        metadata = adapter.metadata
        if metadata.prior_revision != self.prior.revision:
            raise AdapterError(
                f"The adapter {adapter.name} was trained on {metadata.prior}@{metadata.prior_revision}, and "
                f"this network is {self.prior.id}@{self.prior.revision}: use a version that was made for it."
            )

    def _shipped_folder(self, task: str) -> Path:
        """Beside the network, or in this program when it ships the adapters of the same network."""
        beside, ours = self.folder / "adapters" / task, bundled(self.prior.id)
        same = ours is not None and self.prior.name == read_prior_config(ours).name
        return ours / "adapters" / task if same and not beside.is_dir() else beside

    def _shipped(self, task: str) -> Adapter:
        if self.folder is None or not self._shipped_folder(task).is_dir():
            does = f"it does {', '.join(self.without)}; " if self.without else ""
            raise AdapterError(
                f"The network {self.prior.id} has no adapter for {task!r}: {does}give one with --adapter, or "
                "train it."
            )
        if task not in self._beside:
            adapter = load_adapter(self._shipped_folder(task), task, self.prior.id)
            self.check_revision(adapter)
            self._beside[task] = adapter
        return self._beside[task]
