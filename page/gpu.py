"""ZeroGPU: how many seconds to ask for, and which of its answers lead to the CPU."""

import logging
import math

import gradio as gr

LOG = logging.getLogger("lwr.page")
START_SECONDS = 4.0  # until ZeroGPU's process has started and holds the weights
LEAST_SECONDS = 5
# What every visitor may ask for. ZeroGPU charges up to one and a half times as much, by the kind of GPU, and
# visitors without an account have 120 seconds a day.
MOST_SECONDS = 60
ON_CPU = "so this photo is restored on the CPU, which takes longer."
TOO_LONG = f"This photo takes more GPU time than you may ask for at once, {ON_CPU}"
USED_UP = f"Your GPU time is used up for now, {ON_CPU}"
NONE_FREE = f"No GPU is free right now, {ON_CPU}"
FAILED = f"The GPU did not finish this photo, {ON_CPU}"


class NoGpuError(Exception):
    """ZeroGPU does not do it; the text, if there is one, says so to the visitor."""


def seconds_to_ask(estimate: float) -> int:
    """GPU seconds to ask for: twice the estimate, as what overruns is lost, and what any visitor may have."""
    return min(MOST_SECONDS, max(LEAST_SECONDS, math.ceil(START_SECONDS + 2 * estimate)))


def is_too_long(estimate: float) -> bool:
    """Whether the work takes more than may be asked for."""
    return START_SECONDS + estimate > MOST_SECONDS


def no_gpu(error: Exception, zero: bool) -> NoGpuError | None:
    """What to tell the visitor when ZeroGPU did not do the work; None when the work itself failed.

    `zero`: whether ZeroGPU was asked. Errors of the work come out of its process as gr.Error, so any other is
    its own.
    """
    if not isinstance(error, gr.Error):
        if zero:
            LOG.error("ZeroGPU cannot be asked", exc_info=error)
        return NoGpuError(FAILED) if zero else None
    title = str(error.title).lower()
    if "illegal duration" in title:
        return NoGpuError(TOO_LONG)
    if "quota" in title or "credits" in title:
        return NoGpuError(USED_UP)
    if "worker error" in title:  # aborted, or out of memory
        return NoGpuError(FAILED)
    return NoGpuError(NONE_FREE) if title.startswith("zerogpu") else None
