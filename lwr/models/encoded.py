"""What the VAE encoder made of a photo for its diagnosis, kept for the pass that follows.

Both read the same features; where both read the photo whole and at one size, it is encoded once.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class _Encoded:
    encoder: nn.Module
    image: torch.Tensor  # (B,P,H,W), its input
    features: Sequence[torch.Tensor]


class _Kept(threading.local):
    """What a thread keeps, while it restores a photo."""

    restores = False
    encoded: _Encoded | None = None


_kept = _Kept()


@contextmanager
def encoding_once() -> Iterator[None]:
    """A photo is diagnosed and restored."""
    if _kept.restores:
        yield
        return
    _kept.restores = True
    try:
        yield
    finally:
        _kept.restores, _kept.encoded = False, None


def keep(encoder: nn.Module, image: torch.Tensor, features: Sequence[torch.Tensor]) -> None:
    """For `taken`, within `encoding_once`; nobody may change them afterwards."""
    if _kept.restores:
        _kept.encoded = _Encoded(encoder, image, features)


def taken(encoder: nn.Module, image: torch.Tensor) -> Sequence[torch.Tensor] | None:
    """What is kept of this encoder for this image, and no longer kept then; None where it is another's."""
    kept, _kept.encoded = _kept.encoded, None
    if kept is None or kept.encoder is not encoder or kept.image.shape != image.shape:
        return None
    return kept.features if torch.equal(kept.image, image) else None
