"""Depth from a model: any of transformers' depth-estimation models as a provider for haze and defocus."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lwr.degrade.depth import Depth
from training.data.shards import reason
from training.dataset.errors import DatasetError

_METRIC = ("zoedepth", "glpn", "depth_pro")  # models that say metres; others say 1 / distance, on no scale
_NEAREST = 0.2  # of the span of 1 / distance; a finite end for what such models put infinitely far
_EDGES = (0.01, 0.99)  # quantiles that become 0 and 1, against outliers


@lru_cache(maxsize=1)
def model_depth(model: str) -> Depth:
    """The provider for a folder or a Hub id `NAMESPACE/NAME`, loaded once a process.

    Its depths are the same from call to call; across kinds of processor they are equal to float32's accuracy
    only, so that sets made with a model are not promised to be equal bit for bit on other machines.

    Raises DatasetError when its weights are neither here nor to be had, or it is no depth-estimation model.
    """
    from transformers import pipeline

    try:
        estimate = pipeline("depth-estimation", model=model, device="cpu", dtype=torch.float32)
    except Exception as error:  # whatever the Hub, the network and a faulty folder lead to
        advice = "give a Hub id or a folder of a depth-estimation model, or leave --depth out"
        raise DatasetError(f"The depth model {model} cannot be loaded: {reason(error)}; {advice}.") from error
    config = estimate.model.config
    metric = config.model_type in _METRIC or getattr(config, "depth_estimation_type", "") == "metric"
    metadata = {"model": Path(model).name if Path(model).exists() else model, "metric": metric}

    def depth(
        clean: torch.Tensor, generator: torch.Generator, params: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        """A `Depth`; a model rng nothing, so neither `generator` nor `params` changes it."""
        from lwr.images.files import to_pil

        photos = [to_pil(photo[None].float()) for photo in clean]
        found = [estimate(photo)["predicted_depth"].squeeze() for photo in photos]
        depths = torch.stack([_normalised(values.float(), metric) for values in found])[:, None]
        if depths.shape[-2:] != clean.shape[-2:]:
            depths = torch.nn.functional.interpolate(depths, clean.shape[-2:], mode="bilinear")
        return depths.to(clean), [dict(metadata) for _ in photos]

    return depth


def _normalised(values: torch.Tensor, metric: bool) -> torch.Tensor:
    """What a model says of a photo (H,W) as depth in [0,1], 0 nearest.

    Most models give u, 1 / distance from 0 at the far to 1 at the near end. Then d is 1 / (u + n), n = 0.2,
    stretched to [0,1]: a distance whose far end lies 6 times as far away as the near one.
    """
    low, high = torch.quantile(values.flatten(), torch.tensor(_EDGES)).tolist()
    share = ((values - low) / max(high - low, 1e-12)).clamp(0, 1)
    if metric:
        return share
    near, far = 1 / (1 + _NEAREST), 1 / _NEAREST
    return (1 / (share + _NEAREST) - near) / (far - near)
