"""What libraries raise, as the sentence that a user gets instead."""

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from lwr.loading.limits import is_too_little
from lwr.loading.locate import ModelSource
from lwr.loading.priors import PriorError
from lwr.request import RestoreError


@contextmanager
def loading_errors(source: ModelSource) -> Iterator[None]:
    """What libraries raise on damaged files becomes a PriorError of one sentence."""
    try:
        yield
    except (PriorError, RestoreError):
        raise
    except MemoryError as error:
        raise PriorError(_no_memory(source)) from error
    except ImportError as error:
        raise RestoreError(
            "Weights can wait in main memory only with accelerate: pip install accelerate, or give more "
            "--memory."
        ) from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        if is_too_little(error):
            raise PriorError(_no_memory(source)) from error
        reason = str(error).partition("\n")[0][:160]
        raise PriorError(
            f"The model in {source.parts or source.folder} is damaged ({reason}): fetch it again, or use "
            "the embedded one."
        ) from error


@contextmanager
def memory_errors(size: tuple[int, int]) -> Iterator[None]:
    """Too little memory for one photo is no reason to stop a batch, so it becomes a RestoreError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's CPU allocator raises a plain RuntimeError
        if not is_too_little(error):
            raise
        raise RestoreError(
            f"Too little memory for {size[1]}x{size[0]} pixels: lower memory_gb (--memory) or the scale."
        ) from error


def _no_memory(source: ModelSource) -> str:
    return f"There is too little memory to load {source.name}: give more, or raise the limit (ulimit -v, -d)."
