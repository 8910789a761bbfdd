"""Training crops: photos kept as uint8 on the training device, cropped and flipped there in batches."""

from collections.abc import Sequence

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
        self.drawn = [self.ids[index] for index, *_ in cuts]
        crops = torch.empty(len(cuts), 3, size, size, device=self.device)
        for side in {side for _, side, *_ in cuts}:
            where = [i for i, cut in enumerate(cuts) if cut[1] == side]
            bytes_ = torch.stack([self._pixels(*cuts[i]) for i in where]).to(self.device)
            pixels = bytes_.permute(0, 3, 1, 2).float().div(255)
            crops[where] = pixels if side == size else F.avg_pool2d(pixels, side // size)
        return crops

    def _cut(
        self, pool: Sequence[int], crop: int, wide: float, numbers: Sequence[float]
    ) -> tuple[int, int, int, int, bool]:
        """Five numbers in [0,1) -> (photo, side, top, left, flipped)."""
        photo, size, down, right, flip = numbers
        index = pool[int(photo * len(pool))]
        height, width = self.pixels[index].shape[:2]
        side = crop * (2 if size < wide and min(height, width) >= 2 * crop else 1)
        return index, side, int(down * (height - side + 1)), int(right * (width - side + 1)), flip < 0.5

    def _pixels(self, index: int, side: int, top: int, left: int, flipped: bool) -> torch.Tensor:
        crop = self.pixels[index][top : top + side, left : left + side]
        return crop.flip(1) if flipped else crop


def _home(size: int, device: torch.device) -> torch.device:
    """Where `size` bytes of photos stay: on the device if they fit beside the training."""
    if device.type == "cuda" and size > MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device
