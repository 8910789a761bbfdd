"""How a large photo passes through a network: the same methods, tile by tile, blended without seams.

A tile alone cannot tell what is the same for the whole photo, such as how dense and of which colour the haze
is: two tiles of one sky would come out unlike. So for tasks that change tones the whole photo, reduced,
passes once too, and its tones, which are all that it shows better, replace those of the tiles. In the
embedded network every photo above one size gets this overview, and of the same size, whether it passes whole
or in small or large tiles, so that the memory changes no tones.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F

from lwr.models.bands import Bands, Source, blended_bands, match_tones_in_bands, reduced
from lwr.models.config import TextConditioning
from lwr.models.network import Encoded, OnePass, Prediction, RestorationNetwork
from lwr.models.parallel import in_order
from lwr.models.tiling import blend, tile_grid
from lwr.models.tones import match_tones

OVERLAP = 128  # pixels that neighbouring tiles share
TILE_SLACK = 1.5  # a photo up to this many times a tile's area passes whole
OVERVIEW = 300_000  # pixels of the reduced photo, if a pass may have as many: what 1 GB is enough for
T = TypeVar("T")


class TiledNetwork(OnePass):
    """A network for photos (1,3,H,W) of one size, however large.

    `count` tiles, or 1 if it passes whole; `overview` is the size (h, w) of the reduced photo, or None.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        size: tuple[int, int],
        tile: int,
        changes_tones: bool = True,
        after_tile: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`size` (H, W); `tile` in pixels, above OVERLAP, a multiple of the network's.

        `changes_tones`: whether a task does; without there is no overview.
        `after_tile(what)` is called once a tile is encoded, sampled or decoded, and may raise to stop.
        """
        self.network, self.prior, self.after_tile = network, network.prior, after_tile
        self.tile, self.factor = tile, network.prior.latent_factor
        pixels, most = size[0] * size[1], int(TILE_SLACK * tile * tile)
        self.count = 1 if pixels <= most else len(tile_grid(*size, tile, OVERLAP))
        # a whole pass of a large diffusion model needs none, and costs too much to be done twice
        needed = changes_tones and pixels > OVERVIEW and (self.count > 1 or network.refiner is not None)
        self.overview = self._reduced(size, min(most, OVERVIEW)) if needed else None

    def encode(self, photo: torch.Tensor) -> Encoded:
        """See OnePass; in tiles the features are left out, and made again when a tile is decoded."""
        if self.count == 1:
            return self._counted("encoding", self.network.encode)(photo)
        encode = self._counted("encoding", lambda x: self.network.encode(x).latent)
        return Encoded(photo, blend(photo, encode, self.tile, OVERLAP, scale=1 / self.factor), [])

    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """See OnePass."""
        return self.network.context(instructions, text)

    def predict(
        self,
        latent: torch.Tensor,
        timestep: int | torch.Tensor,
        lq_latent: torch.Tensor,
        context: torch.Tensor,
        guidance: float = 1.0,
    ) -> Prediction:
        """See OnePass."""
        channels = latent.shape[1]

        def predict(noisy: torch.Tensor, degraded: torch.Tensor) -> torch.Tensor:
            output, features = self.network.predict(noisy, timestep, degraded, context, guidance)
            return output if features is None else torch.cat([output, features], 1)

        output = self._blend_latent(latent, self._counted("restoring", predict), lq_latent)
        return output[:, :channels], output[:, channels:] if output.shape[1] > channels else None

    def decode(
        self, latent: torch.Tensor, encoded: Encoded, fidelity: float, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """See OnePass."""
        network = self.network
        if self.count == 1:
            return self._counted("decoding", network.decode)(latent, encoded, fidelity, features)

        def decode(latent: torch.Tensor, photo: torch.Tensor, *features: torch.Tensor) -> torch.Tensor:
            return network.decode(latent, network.encode(photo), fidelity, *features)

        beside = (encoded.photo,) if features is None else (encoded.photo, features)
        return self._blend_latent(latent, self._counted("decoding", decode), *beside, scale=self.factor)

    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """See OnePass."""
        refine = self._counted("restoring", lambda x: self.network.refine(x, fidelity))
        return refine(photo) if self.count == 1 else blend(photo, refine, self.tile, OVERLAP)

    def needs_sampler(self, fidelity: float) -> bool:
        """See OnePass."""
        return self.network.needs_sampler(fidelity)

    def restore(
        self, photo: torch.Tensor, *arguments: Any, **options: Any
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See OnePass; with the tones of the reduced photo's pass."""
        restored, latent = super().restore(photo, *arguments, **options)
        if self.overview is not None and restored is not None:
            reduced = F.interpolate(photo, self.overview, mode="area")
            overview, _ = self._counted("restoring", self.network.restore)(reduced, *arguments, **options)
            restored = match_tones(restored, overview)
        return restored, latent

    def goes_in_bands(self, steps: int) -> bool:
        """Whether `bands` can take the place of `restore`: for tiles whose passes have nothing random."""
        return (
            self.count > 1
            and steps == 1
            and not self.prior.config.one_step_noise
            and self.network.refiner is not None
        )

    def bands(
        self,
        photo: Source,
        instructions: Mapping[str, float],
        fidelity: float,
        text: TextConditioning,
        device: torch.device,
        turned: bool = False,
        at_once: int = 1,
    ) -> Bands:
        """As `restore`, in bands of rows, on the CPU; `at_once` tiles pass at the same time.

        `turned`: rows and columns of `photo` are exchanged, and so are the bands'.
        """
        asked = {"steps": 1, "fidelity": fidelity, "text": text}

        def restore(part: torch.Tensor) -> torch.Tensor:
            upright = (part.mT if turned else part).contiguous().to(device)
            done, _ = self.network.restore(upright, instructions, torch.randn, **asked)
            return (done.mT if turned else done).float().cpu()

        each = partial(_each, restore, at_once, self.after_tile)
        tiles = blended_bands(photo, each, self.tile, OVERLAP)
        if self.overview is None:
            return tiles
        size = self.overview[::-1] if turned else self.overview
        return match_tones_in_bands(tiles, photo.padded, *each([reduced(photo, size)]))

    def _reduced(self, size: tuple[int, int], pixels: int) -> tuple[int, int]:
        """(h, w) of `size` (H, W) reduced to `pixels` or a little fewer, sides multiples of the network's."""
        factor, multiple = (pixels / (size[0] * size[1])) ** 0.5, self.network.multiple
        return tuple(max(1, int(side * factor / multiple)) * multiple for side in size)

    def _blend_latent(
        self, x: torch.Tensor, function: Callable[..., torch.Tensor], *beside: torch.Tensor, scale: int = 1
    ) -> torch.Tensor:
        """`function` on x (1,C,h,w), which has a latent's resolution, and what lies beside it."""
        if self.count == 1:
            return function(x, *beside)
        tile, overlap = self.tile // self.factor, OVERLAP // self.factor
        return blend(x, function, tile, overlap, scale=scale, beside=beside)

    def _counted(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """`function`, which reports each call once it is done."""

        def run(*arguments: Any, **options: Any) -> T:
            result = function(*arguments, **options)
            self.after_tile(what)
            return result

        return run


def _each(
    restore: Callable[[torch.Tensor], torch.Tensor],
    at_once: int,
    after_tile: Callable[[str], None],
    parts: Iterable[torch.Tensor],
) -> Bands:
    """The tiles restored, `at_once` at the same time; each is reported in the caller's thread."""
    for done in in_order(restore, parts, at_once):
        after_tile("restoring")
        yield done
