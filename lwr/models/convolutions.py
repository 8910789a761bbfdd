"""Convolutions with fewer multiplications: by Winograd's algorithm (3x3) and by Fourier transforms (larger).

Both are in NNPACK, which comes with torch and which torch leaves unused for single photos. On a processor
with AVX2 most take about half the time of oneDNN's direct convolution, and differ from it by rounding, by
less than 0.01/255 in a photo (training.benchmarks.convolutions). With AVX-512, which the direct one uses and
NNPACK does not, all go by oneDNN. On GPUs, in training and in exported networks nothing changes.

NNPACK's own threads would spin beside OpenMP's, and both would wait for each other: it gets none, and helpers
share a photo's rows.
"""

from collections.abc import Sequence
from functools import cache, partial
from itertools import pairwise
from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.activation import BeforeSiLU, Padded, padded_silu
from lwr.models.matrix_units import rounded_conv2d
from lwr.models.parallel import can_share, together
from lwr.models.sharing import planned_threads, watched

LEAST_PLACES = 1024  # of the output that a thread makes; below, transforms cost more than they save
LEAST_PAIRS = 512  # input channels times output channels of a 3x3 convolution
LARGE = range(5, 17)  # sides of kernels that pay whatever the channels
BLOCK = 6  # rows that Winograd's F(6x6, 3x3) makes at once
Padding = Sequence[int]  # left, right, top, bottom


def quicken(network: nn.Module) -> None:
    """Let the convolutions of `network` take the quicker way in inference mode; otherwise nothing changes."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module._conv_forward = MethodType(_conv_forward, module)


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    pad: Padding = (0, 0, 0, 0),
    mode: str = "constant",
) -> torch.Tensor:
    """F.conv2d, of stride 1, of the padded x (B,in,h,w) -> (B,out,h',w'); `pad` and `mode` as for F.pad."""
    return watched(partial(_conv2d, x, weight, bias, pad, mode), x.device)


def strided_conv2d(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """F.conv2d of x (B,in,h*n,w*n) whose stride is its kernel's side n -> (B,out,h,w)."""
    stride = (weight.shape[2], weight.shape[3])
    return watched(partial(_direct, x, weight, bias, stride), x.device)


def _conv2d(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, pad: Padding, mode: str
) -> torch.Tensor:
    threads = planned_threads()
    if not _is_quicker(x, weight, pad, threads):
        return _direct(F.pad(x, tuple(pad), mode=mode) if any(pad) else x, weight, bias)
    height, width = _output_size(x, weight, pad)
    alone = threads == 1 or (weight.shape[2] == 3 and torch.get_num_threads() == 1)
    if len(x) == 1 and alone:  # whole blocks of Winograd's come out the same, wherever the rows are cut
        return _rows(x, weight, bias, pad, mode, 0, height)
    output = x.new_empty(len(x), len(weight), height, width)

    def fill(photo: torch.Tensor, into: torch.Tensor, first: int, last: int) -> None:
        into[:, :, first:last] = _rows(photo, weight, bias, pad, mode, first, last)

    parts = list(pairwise(_cuts(height, threads)))
    photos = zip(x.split(1), output.split(1), strict=True)
    jobs = [partial(fill, *photo, *part) for photo in photos for part in parts]
    together(jobs, torch.get_num_threads())
    return output


def _rows(
    photo: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    pad: Padding,
    mode: str,
    first: int,
    last: int,
) -> torch.Tensor:
    """Rows `first` to `last` of the output, from those of `photo` (1,in,h,w) that they depend on."""
    left, right, top, _ = pad
    start, end = first - top, last - top + weight.shape[2] - 1  # in the photo, before and after it too
    above, below = max(-start, 0), max(end - photo.shape[2], 0)
    photo = photo[:, :, start + above : end - below]
    if left or right or above or below:
        photo = F.pad(photo, (left, right, above, below), mode=mode)
    return torch._nnpack_spatial_convolution(photo, weight, bias, (0, 0), (1, 1))


def _conv_forward(
    self: nn.Conv2d,
    x: torch.Tensor | BeforeSiLU | Padded,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """In the place of nn.Conv2d's own."""
    if self.padding_mode == "circular" or not torch.is_inference_mode_enabled():
        return type(self)._conv_forward(self, x, weight, bias)
    pad, mode = self._reversed_padding_repeated_twice, self.padding_mode.replace("zeros", "constant")
    if hasattr(self, "by_matrix_units") and weight.device.type == "cpu":
        return rounded_conv2d(x, weight, bias, pad, mode, self.dilation)
    if isinstance(x, BeforeSiLU):
        if _is_quicker(x.values, weight, pad, planned_threads()):  # each part of the rows is padded by itself
            x = F.silu(x.values)
        else:
            x, pad = padded_silu(x.values, pad, mode), (0, 0, 0, 0)
    elif isinstance(x, Padded):
        x, pad = x.values, (0, 0, 0, 0)
    if self.stride == self.dilation == (1, 1) and self.groups == 1:
        return conv2d(x, weight, bias, pad, mode)
    x = F.pad(x, tuple(pad), mode=mode) if any(pad) else x
    rest = (self.stride, self.dilation, self.groups)
    return watched(partial(_direct, x, weight, bias, *rest), x.device)


def _direct(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """F.conv2d by oneDNN: small ones torch would do in a way whose last bits depend on the threads."""
    narrow = x.shape[3] < 2 * weight.shape[3]
    if narrow and x.dtype == torch.bfloat16 and stride != (1, 1) and x.device.type == "cpu":
        # oneDNN errs where the result is one column wide
        bias = None if bias is None else bias.float()
        return F.conv2d(x.float(), weight.float(), bias, stride, 0, dilation, groups).to(torch.bfloat16)
    plain = x.dtype == torch.float32 and x.device.type == "cpu" and x.dim() == 4
    if plain and torch.is_inference_mode_enabled() and torch.backends.mkldnn.is_available():
        return torch.mkldnn_convolution(x, weight, bias, (0, 0), stride, dilation, groups)
    return F.conv2d(x, weight, bias, stride, 0, dilation, groups)


def _output_size(x: torch.Tensor, weight: torch.Tensor, pad: Padding) -> tuple[int, int]:
    left, right, top, bottom = pad
    return x.shape[2] + top + bottom - weight.shape[2] + 1, x.shape[3] + left + right - weight.shape[3] + 1


def _is_quicker(x: torch.Tensor, weight: torch.Tensor, pad: Padding, threads: int) -> bool:
    """As training.benchmarks.convolutions measures it."""
    out, channels, side, other = weight.shape
    if x.dtype != torch.float32 or x.device.type != "cpu" or side != other or x.dim() != 4:
        return False
    height, width = _output_size(x, weight, pad)
    return (
        (out * channels >= LEAST_PAIRS if side == 3 else side in LARGE and out >= 16)
        and len(x) * height * width >= LEAST_PLACES * threads
        and max(pad) <= side // 2  # so that each part of the rows can be padded by itself
        and torch.is_inference_mode_enabled()
        and _is_available()
        and (threads == 1 or can_share(threads))
    )


@cache
def _is_available() -> bool:
    """Whether NNPACK runs here and this processor gains by it; sees to it that it makes no threads."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2" or not torch._nnpack_available():
        return False
    threads = torch.get_num_threads()
    if threads > 1:  # a helper's one is left alone: threads that start later would take it
        torch.set_num_threads(1)  # NNPACK takes as many as torch has when it is first called
    try:
        torch._nnpack_spatial_convolution(
            torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3), None, (0, 0), (1, 1)
        )
    except RuntimeError:
        return False
    finally:
        if threads > 1:
            torch.set_num_threads(threads)
    return True


def _cuts(rows: int, parts: int) -> list[int]:
    """[0, ..., rows]: where `parts` threads share the rows, in whole blocks."""
    blocks = -(-rows // BLOCK)
    return sorted({min(rows, BLOCK * round(blocks * part / parts)) for part in range(parts + 1)})
