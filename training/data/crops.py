"""Training crops: photos kept as uint8 on the training device, cropped and flipped there in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from training.checkpoint import TrainingError
from training.data.photos import Photo
from training.data.rng import RngStreams

MEMORY_SHARE = 0.5  # of a GPU's free memory that photos may take; beyond it they wait in main memory


class CropSampler:
    """Random clean crops of a list of photos; all state is in the rng that the caller passes."""

    def __init__(self, photos: Sequence[Photo], crop: int, device: torch.device, scene: int = 1) -> None:
        """`scene`: how many times the side of other crops those of whole scenes have."""
        self.crop, self.scene, self.device = crop, scene, device
        large = [photo for photo in photos if min(photo.pixels.shape[:2]) >= crop * scene]
        if not large:
            raise TrainingError(
                f"No photo has both sides of {crop * scene} pixels or more: use larger photos or a smaller "
                "crop."
            )
        self.ids = [photo.id for photo in large]
        home = _home(sum(photo.pixels.numel() for photo in large), device)
        self.pixels = [photo.pixels.to(home) for photo in large]
        self.any = list(range(len(large)))
        self.clear = [i for i, photo in enumerate(large) if photo.clear]
        self.drawn: list[str] = []  # ids of the newest batch, for messages

    def batch(self, rng: RngStreams, scenic: bool = False, wide: float = 1 / 3) -> torch.Tensor:
        """Crops (B,3,crop,crop) in [0,1]; `scenic` ones are `scene` times larger, fewer, and of clear photos.

        A share `wide` of them is cut at twice the size and halved by area averaging: sharper, more context.
        """
        pool = self.clear if scenic and self.clear else self.any
        size = self.crop * (self.scene if scenic else 1)
        if scenic:
            rng.thin(self.scene**2)
        cuts = [self._cut(pool, size, wide, numbers) for numbers in rng.rand(5).tolist()]
        self.drawn = [self.ids[index] for index, _ in cuts]
        return stacked([cut.of(self.pixels[index]) for index, cut in cuts], size, self.device)

    def _cut(
        self, pool: Sequence[int], crop: int, wide: float, numbers: Sequence[float]
    ) -> tuple[int, "Cut"]:
        """Five numbers in [0,1) -> (photo, where in it)."""
        index = pool[int(numbers[0] * len(pool))]
        return index, cut_of(tuple(self.pixels[index].shape[:2]), crop, wide, numbers[1:])


@dataclass(frozen=True)
class Cut:
    """A square of a picture, perhaps mirrored."""

    side: int
    top: int
    left: int
    flipped: bool

    def of(self, pixels: torch.Tensor) -> torch.Tensor:
        """(H,W,3) -> (side,side,3)."""
        crop = pixels[self.top : self.top + self.side, self.left : self.left + self.side]
        return crop.flip(1) if self.flipped else crop


def cut_of(size: tuple[int, int], crop: int, wide: float, numbers: Sequence[float]) -> Cut:
    """Four numbers in [0,1) -> a square of a picture of this size; a share `wide` has twice the side."""
    height, width = size
    kind, down, right, flip = numbers
    side = crop * (2 if kind < wide and min(size) >= 2 * crop else 1)
    return Cut(side, int(down * (height - side + 1)), int(right * (width - side + 1)), flip < 0.5)


def stacked(pieces: Sequence[torch.Tensor], size: int, device: torch.device) -> torch.Tensor:
    """(side,side,3) uint8 each -> (B,3,size,size) in [0,1]; larger ones are halved by area averaging."""
    crops = torch.empty(len(pieces), 3, size, size, device=device)
    for side in {len(piece) for piece in pieces}:
        where = [i for i, piece in enumerate(pieces) if len(piece) == side]
        bytes_ = torch.stack([pieces[i] for i in where]).to(device)
        pixels = bytes_.permute(0, 3, 1, 2).float().div(255)
        crops[where] = pixels if side == size else F.avg_pool2d(pixels, side // size)
    return crops


def _home(size: int, device: torch.device) -> torch.device:
    """Where `size` bytes of photos stay: on the device if they fit beside the training."""
    if device.type == "cuda" and size > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device
