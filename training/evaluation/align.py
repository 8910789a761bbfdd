"""A restored photo laid on its target, as papers do where the two were taken by two cameras (RealBlur).

The homography maximises the enhanced correlation coefficient (ECC) of the two grey photos: Evangelidis and
Psarakis 2008, https://doi.org/10.1109/TPAMI.2008.113, forward additive algorithm. As in the evaluation that
papers on RealBlur share, grey photos are smoothed by 5 pixels and there are 100 steps at most.
"""

import torch
import torch.nn.functional as F

STEPS = 100
CONVERGED = 1e-3  # pixels; a step that moves no corner further is the last
_SMOOTH = 1.1  # standard deviation in pixels of a window of 5
_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


def aligned(image: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(1,3,H,W) of [0,1] each -> the image laid on the target, the target, and where they overlap (1,1,H,W).

    The image is first multiplied by the one number that brings it nearest. Both are 0 where they do not
    overlap. An image that ECC finds no place for stays where it is.
    """
    image = image * ((target * image).sum() / image.square().sum().clamp_min(1e-12))
    grey = torch.tensor(_GREY, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    warp = homography((target * grey).sum(1, keepdim=True), (image * grey).sum(1, keepdim=True))
    grid = _places(warp, *image.shape[-2:], image)
    overlap = (grid.abs() <= 1 + 1e-5).all(-1)[:, None].to(image.dtype)
    moved = F.grid_sample(image, grid, "bicubic", "reflection", align_corners=True)
    return moved * overlap, target * overlap, overlap


def homography(template: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """(1,1,H,W) each -> (3,3) that leads from places in `template` to those in `image`, edges at -1 and 1.

    The identity, when the correlation has no maximum near by.
    """
    template, image = _smooth(template), _smooth(image)
    height, width = image.shape[-2:]
    across = F.pad((image[..., 2:] - image[..., :-2]) / 2, (1, 1, 0, 0)) * (width - 1) / 2
    down = F.pad((image[..., 2:, :] - image[..., :-2, :]) / 2, (0, 0, 1, 1)) * (height - 1) / 2
    layers = torch.cat([image, across, down], 1)
    warp = start = torch.eye(3, dtype=torch.float64)
    for _ in range(STEPS):
        grid = _places(warp, height, width, image)
        inside = (grid.abs() <= 1).all(-1)[0].flatten()
        moved, *slopes = F.grid_sample(layers, grid, align_corners=True)[0].flatten(1)
        jacobian = _jacobian(warp, grid[0].flatten(0, 1), slopes, height, width) * inside[:, None]
        step = _step(_centred(template.flatten(), inside), _centred(moved, inside), jacobian)
        if step is None:
            return start
        warp = warp + F.pad(step.cpu(), (0, 1)).view(3, 3)
        if step.abs().sum() * max(height, width) / 2 < CONVERGED:
            break
    return warp


def _step(template: torch.Tensor, moved: torch.Tensor, jacobian: torch.Tensor) -> torch.Tensor | None:
    """The change of the first eight numbers of the warp; None: there is no way up."""
    products = (jacobian.T @ torch.stack([template, moved], 1)).double()
    try:
        inverse = torch.linalg.inv((jacobian.T @ jacobian).double())
    except RuntimeError:  # no texture
        return None
    of_template, of_moved = products.unbind(1)
    inner = (template * moved).sum().double()
    upper = moved.square().sum().double() - of_moved @ inverse @ of_moved
    lower = inner - of_template @ inverse @ of_moved
    if not (lower > 0 and torch.isfinite(upper)):
        return None
    return inverse @ (upper / lower * of_template - of_moved)


def _jacobian(
    warp: torch.Tensor, there: torch.Tensor, slopes: list[torch.Tensor], height: int, width: int
) -> torch.Tensor:
    """(pixels, 8): how the moved image changes with the numbers of the warp; `there` is where pixels lead."""
    x, y = _coordinates(height, width, there)
    below = warp[2, 0].item() * x + warp[2, 1].item() * y + 1
    across, down = (slope / below for slope in slopes)
    both = -(across * there[:, 0] + down * there[:, 1])
    return torch.stack([across * x, across * y, across, down * x, down * y, down, both * x, both * y], 1)


def _places(warp: torch.Tensor, height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """(1,H,W,2): where a warp leads each pixel."""
    x, y = _coordinates(height, width, like)
    points = torch.stack([x, y, torch.ones_like(x)]).double()
    across, down, below = warp.to(like.device) @ points
    return torch.stack([across / below, down / below], 1).view(1, height, width, 2).to(like.dtype)


def _coordinates(height: int, width: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of all pixels, row by row, -1 to 1."""
    options = {"dtype": like.dtype, "device": like.device}
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, **options), torch.linspace(-1, 1, width, **options), indexing="ij"
    )
    return x.flatten(), y.flatten()


def _centred(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Values less their mean where they count, 0 elsewhere."""
    return (values - values[inside].mean()) * inside


def _smooth(grey: torch.Tensor) -> torch.Tensor:
    """A Gaussian of 5 pixels, edges mirrored."""
    weights = torch.exp(-(torch.arange(-2, 3, dtype=grey.dtype, device=grey.device) ** 2) / (2 * _SMOOTH**2))
    weights = weights / weights.sum()
    grey = F.pad(grey, (2, 2, 2, 2), "reflect")
    return F.conv2d(F.conv2d(grey, weights.view(1, 1, 1, 5)), weights.view(1, 1, 5, 1))
