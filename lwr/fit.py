"""A request meets its photo: what the photo needs, how much of what was asked for, and its size."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch

from lwr.diagnose import Diagnosis, diagnose, harmless, needed_scale
from lwr.request import ENLARGING, Request, Settings, fitted, remark_on_choice, remarks

# (request, what the photo needs when the request leaves that to it) -> settings
Resolve = Callable[[Request, Mapping[str, float] | None], Settings]


def fit(request: Request, resolve: Resolve, photo: torch.Tensor) -> tuple[Settings, tuple[str, ...]]:
    """(settings, remarks) for a photo (1,3,H,W), levels (uint8) or floats in [0,1]."""
    return fit_to(request, resolve, (photo.shape[-2], photo.shape[-1]), partial(diagnose, photo))


def fit_to(
    request: Request, resolve: Resolve, size: tuple[int, int], find: Callable[[], Diagnosis]
) -> tuple[Settings, tuple[str, ...]]:
    """(settings, remarks) for a photo of `size` (H,W); `find` says what is wrong with it, where that matters.

    A general request gets what the photo needs, and so does "make it HD" for a photo that is. Tasks that a
    sentence names are done as far as the photo shows their defect, unless it insists; enlarging has other
    reasons.
    """
    asked, settings = request.asked(), resolve(request, None)
    named = [name for name in asked.tasks if name not in asked.insisted]
    chosen = fitted(settings, size)[0].general
    found = find() if chosen or named else None
    if chosen:
        settings = resolve(request, found.tasks)
        if asked.scale is None and ENLARGING not in asked.tasks:
            settings = replace(settings, scale=needed_scale(settings.tasks, size))
    settings, on_size = fitted(settings, size)
    named = [name for name in named if settings.scale == 1 or name != ENLARGING]
    tasks, on_tasks = harmless(settings.tasks, named, found.severities if found else {})
    settings = replace(settings, tasks=tasks)
    on_choice = (remark_on_choice(asked, settings),) if chosen else ()
    return settings, (*remarks(asked), *on_size, *on_choice, *on_tasks)
