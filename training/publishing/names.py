"""What the published repositories are called."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """The repositories of one namespace at one version."""

    namespace: str
    version: str  # vX.Y.Z

    @property
    def prior(self) -> str:
        """The network, a model repository."""
        return f"{self.namespace}/lwr"

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
