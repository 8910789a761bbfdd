"""Which weights a command loads, and where to."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lwr.loading.limits import SPARINGLY, keep_freed
from lwr.loading.priors import LITE
from lwr.request import Request, option

if TYPE_CHECKING:  # torch
    from lwr.restore import Restorer


@dataclass(frozen=True)
class Loading:
    """Options of the command line, and the Restorer that they name."""

    prior: str | None = option(
        None,
        "embedded, embedded-lite, sd-2.1-base, sd-2.1, sd-turbo, ..., a folder, or a Hub repository, "
        "NAMESPACE/NAME@REVISION; sd-turbo=PLACE takes its files from elsewhere [default: embedded, or where "
        "memory is short embedded-lite]",
    )
    parts: str | None = option(
        None, "restoring parts to put around the prior: a folder that convert or training wrote"
    )
    adapter: list[str] | None = option(
        None, "another adapter for its task: a folder or NAMESPACE/NAME@REVISION; repeatable"
    )
    device: str = option("auto", "auto, cpu, cuda or mps")
    precision: str = option(
        "auto",
        "auto, float32, bfloat16 or float16; auto rounds a part to bfloat16 where the processor has matrix "
        "units (AMX): where measured that moved no pixel by 1/255, with --fast some by two",
    )
    memory: float | None = option(None, "memory to stay within [default: what is free]", metavar="GB")

    def doing(self, request: Request) -> "Loading":
        """The same for a request: one network alone is loaded where it is `fast`."""
        return replace(self, prior=LITE) if request.fast and self.prior is None else self

    def restorer(self) -> "Restorer":
        """The Restorer with its adapters; raises PriorError, RestoreError, AdapterError or HubError."""
        from lwr.loading.adapter import Adapter
        from lwr.models.sharing import watch_passes
        from lwr.restore import Restorer

        watch_passes(os.environ)
        if self.memory is not None:
            keep_freed(SPARINGLY)
        prior = "embedded" if self.adapter and self.prior is None else self.prior  # which they are made for
        restorer = Restorer.load(
            prior, device=self.device, memory_gb=self.memory, parts=self.parts, precision=self.precision
        )
        for name in self.adapter or ():
            restorer.use(Adapter.open(name))
        return restorer
