"""What the published repositories are called, and which of them a card may name."""

from collections.abc import Iterable
from dataclasses import dataclass

from huggingface_hub.constants import ENDPOINT

Repository = tuple[str, str]  # kind ("model", "dataset" or "space") and NAMESPACE/NAME


@dataclass(frozen=True)
class Names:
    """The repositories of one namespace at one version."""

    namespace: str
    version: str  # vX.Y.Z
    # Those that are on the Hub when this run is over: cards name no others. None: all of them.
    there: frozenset[Repository] | None = None
    network: str = "lwr"  # of the network; the Space is always "lwr"

    def named(self, kind: str, repo: str) -> str | None:
        """`repo`, or None where a card would lead nowhere."""
        return repo if self.there is None or (kind, repo) in self.there else None

    @property
    def prior(self) -> str:
        """The network, a model repository."""
        return f"{self.namespace}/{self.network}"

    @property
    def space(self) -> str:
        """The page, a Space."""
        return f"{self.namespace}/lwr"

    @property
    def dataset(self) -> str:
        """The multi-task dataset."""
        return f"{self.namespace}/lwr-multitask"

    def adapter(self, task: str) -> str:
        """The repository of a task's adapter."""
        return f"{self.namespace}/lwr-{task}"

    def pin(self, task: str) -> str:
        """A task's adapter at this version, as the Space and the network ask for it."""
        return f"{self.adapter(task)}@{self.version}"

    def links(self, tasks: Iterable[str]) -> list[dict[str, str]]:
        """What the page's About tab links to, of what is on the Hub: the cards of models, and the dataset."""
        adapters = [(f"Adapter: {task}", "model", self.adapter(task)) for task in tasks]
        every = [("Network", "model", self.prior), *adapters, ("Dataset", "dataset", self.dataset)]
        folders = {"model": "", "dataset": "datasets/"}
        return [
            {"what": what, "repo": repo, "url": f"{ENDPOINT}/{folders[kind]}{repo}/tree/{self.version}"}
            for what, kind, repo in every
            if self.named(kind, repo)
        ]
