"""A photo at the size of its pass, of which any part can be had without making the whole."""

import torch

from lwr.images.pixels import padded_places, resize, to_unit

SHARPNESS = -0.75  # of the bicubic kernel, torch's; see `resize`


class Canvas:
    """A photo enlarged to `size` (H,W) and continued to multiples, as `resize` and `pad_to_multiple` do it.

    `padded` is the size with what is continued. Made again for each part, so that neither a float copy nor an
    enlarged one of a large photo is ever whole.
    """

    def __init__(
        self, pixels: torch.Tensor, size: tuple[int, int], multiple: int = 1, spend: bool = False
    ) -> None:
        """`pixels` (1,C,h,w), levels (uint8) or floats in [0,1]; `spend`: a result may take their place."""
        self.spend = spend
        if size[0] < pixels.shape[-2] or size[1] < pixels.shape[-1]:
            pixels = resize(to_unit(pixels), size)
        self.pixels, self.size = pixels, size
        self._down, self._across = (
            _Axis(old, new, multiple) for old, new in zip(pixels.shape[-2:], size, strict=True)
        )
        self.padded = len(self._down.places), len(self._across.places)

    def turned(self) -> "Canvas":
        """The same with rows and columns exchanged; shares the pixels."""
        turned = object.__new__(Canvas)
        turned.spend = self.spend
        turned.pixels, turned.size = self.pixels.transpose(-1, -2), self.size[::-1]
        turned._down, turned._across, turned.padded = self._across, self._down, self.padded[::-1]
        return turned

    def cut(self, top: int, left: int, height: int, width: int) -> torch.Tensor:
        """(1,C,height,width) float32 in [0,1], of the padded photo."""
        down, across = self._down.part(top, height), self._across.part(left, width)
        part = self.pixels[..., down.first : down.end, across.first : across.end]
        part = across.resampled(to_unit(part), -1)
        part = down.resampled(part, -2)
        return part.clamp(0, 1) if down.weights is not None or across.weights is not None else part


class _Axis:
    """Where along one side the values of the padded photo come from."""

    def __init__(self, old: int, new: int, multiple: int) -> None:
        self.places = padded_places(new, multiple)
        self.old, self.weights = old, None
        if old != new:
            exact = (self.places + 0.5) * (old / new) - 0.5
            start = exact.floor()
            self.places, self.weights = start.long(), _bicubic(exact - start)

    def part(self, start: int, length: int) -> "_AxisPart":
        """What `length` values from `start` on need."""
        places = self.places[start : start + length]
        if self.weights is None:
            return _AxisPart(places[None], None)
        near = (places + torch.arange(-1, 3)[:, None]).clamp(0, self.old - 1)
        return _AxisPart(near, self.weights[:, start : start + length])


class _AxisPart:
    """Places (1,n) along an axis, or the four neighbours (4,n) of each and their weights (4,n)."""

    def __init__(self, places: torch.Tensor, weights: torch.Tensor | None) -> None:
        self.first, self.end = int(places.min()), int(places.max()) + 1
        self.places, self.weights = places - self.first, weights

    def resampled(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """x (1,C,...), from `first` to `end` along `dim` -> n values along it."""
        if self.weights is None:
            there = torch.arange(x.shape[dim])
            return x if self.places[0].equal(there) else x.index_select(dim, self.places[0])
        shape = (-1, 1) if dim == -2 else (-1,)
        parts = (
            x.index_select(dim, near) * weight.reshape(shape)
            for near, weight in zip(self.places, self.weights, strict=True)
        )
        return sum(parts)


def _bicubic(share: torch.Tensor) -> torch.Tensor:
    """Weights (4,n) of the neighbours at -1, 0, 1 and 2 for places that lie `share` (n,) past 0."""
    a = SHARPNESS

    def near(x: torch.Tensor) -> torch.Tensor:  # up to 1 away (Keys 1981)
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: torch.Tensor) -> torch.Tensor:  # 1 to 2 away
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return torch.stack([far(share + 1), near(share), near(1 - share), far(2 - share)])
