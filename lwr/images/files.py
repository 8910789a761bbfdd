"""Photos in and out: the only place where files and PIL images become tensors and go back.

Inside `lwr` an image is a float32 sRGB tensor (B,3,H,W) in [0,1]. `load` turns whatever a user has into that,
keeps transparency and metadata aside, and says in `notes` what it had to give up. `save` writes it back and
never damages a file. Anything wrong is an `ImageError` whose text is a sentence for the user.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, UnidentifiedImageError

MAX_PIXELS = 64_000_000  # 768 MB as float32 RGB; larger photos are refused before they are decoded
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # Pillow's own convert() clips these to white
_ORIENTATION = 274
_LONGEST_JPEG_EXIF = 65533
# Descriptive EXIF tags of the main directory, and the Exif and GPS directories. The rest describes the layout
# of the old file (strips, sizes, orientation, thumbnail) and would be false in the new one.
_EXIF_KEPT = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
_EXIF_DIRECTORIES = (0x8769, 0x8825)
_EXIF_SIZES = (0xA002, 0xA003)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A photo cannot be read or written; the text is one sentence for the user: what is wrong, what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """A photo as tensors, with what is needed to save it back."""

    rgb: torch.Tensor  # (1,3,H,W) float32 in [0,1], sRGB, upright
    alpha: torch.Tensor | None = None  # (1,1,H,W) float32 in [0,1]; None: the photo has no transparency
    icc_profile: bytes | None = None  # describes `rgb` (an sRGB one); None: the photo carried none
    exif: bytes | None = None  # without orientation, thumbnail and layout tags
    notes: tuple[str, ...] = ()  # sentences for the user about what was lost or decided while reading

    def with_rgb(self, rgb: torch.Tensor) -> Loaded:
        """The same photo with other pixels (1,3,h,w); alpha follows to the new size, metadata stays."""
        alpha = None if self.alpha is None else resize(self.alpha, (rgb.shape[-2], rgb.shape[-1]))
        return dataclasses.replace(self, rgb=rgb, alpha=alpha)


def load(source: Image.Image | str | Path, max_pixels: int = MAX_PIXELS) -> Loaded:
    """Read a photo from a PIL image (its current frame) or a file.

    Args:
        source: PIL image of any mode, or the path of a file in one of `FORMATS`.
        max_pixels: width x height above this is refused before decoding.

    Raises ImageError for every unusable input, with the reason and the remedy.
    """
    if isinstance(source, Image.Image):
        return _read(source, "the image", max_pixels)
    label, path = str(source), _readable_file(source)
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with _pillow_errors(label, max_pixels), Image.open(path, formats=known) as image:
            return _read(image, label, max_pixels)
    except UnidentifiedImageError as error:
        names = ", ".join(name for name in known if name != "MPO")
        raise ImageError(f"{label} is not an image of a known kind; save it as one of {names}.") from error


def save(
    image: Loaded | torch.Tensor,
    path: str | Path,
    overwrite: bool = False,
    quality: int = 95,
    notes: list[str] | None = None,
) -> Path:
    """Write a photo whole or not at all; the suffix chooses the format (none: `.png` is appended).

    Transparency is kept in PNG, WebP and TIFF and laid on white in JPEG. EXIF is kept. Pixels are sRGB: an
    sRGB profile is written if the photo came with any profile, otherwise none (viewers then assume sRGB).

    Args:
        image: a `Loaded` (new pixels: `Loaded.with_rgb`), or a bare tensor (1,3,H,W) in [0,1].
        path: where to; an existing file is replaced only with `overwrite`, and never half.
        quality: 1 to 100, for JPEG and WebP.
        notes: list to which sentences about what the format could not hold are appended.

    Returns the path written. Raises ImageError: as `writable`, or the format cannot hold the photo.
    """
    photo, path = image if isinstance(image, Loaded) else Loaded(image), writable(path, overwrite)
    if not 1 <= quality <= 100:
        raise ImageError(f"quality is {quality}; use 1 to 100.")
    with _write_errors(path):
        _write(_encode(photo, path, quality, [] if notes is None else notes), path, overwrite)
    return path


def writable(path: str | Path, overwrite: bool = False) -> Path:
    """The file that `save` would write; ImageError if it exists, its suffix is unknown or its folder bad."""
    path = Path(path)
    path = path if path.suffix or not path.name else path.with_name(path.name + ".png")
    if path.suffix.lower() not in SUFFIXES:
        names = ", ".join(SUFFIXES)
        raise ImageError(f"Cannot write {path}: unknown suffix {path.suffix!r}; use one of {names}.")
    with _write_errors(path):
        if not path.parent.is_dir():
            raise ImageError(f"Cannot write {path}: there is no folder {path.parent}; create it first.")
        if not overwrite and os.path.lexists(path):
            raise FileExistsError
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise OSError("a folder has this name" if path.is_dir() else f"{path.parent} is read-only")
    return path


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except FileExistsError as error:
        raise ImageError(f"{path} already exists; choose another name or allow overwriting.") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"Cannot write {path}: {reason}; check name, permissions and free space.") from error


def to_tensor(image: Image.Image) -> torch.Tensor:
    """PIL image -> (1,3,H,W) float32 in [0,1]: `load` without alpha and metadata."""
    return load(image).rgb


def to_pil(image: torch.Tensor, alpha: torch.Tensor | None = None) -> Image.Image:
    """(1,3,H,W) or (3,H,W) in [0,1] (clamped, rounded) -> 8-bit RGB, or RGBA with `alpha` (1,1,H,W)."""
    image = image[None] if image.dim() == 3 else image
    if image.dim() != 4 or image.shape[:2] != (1, 3) or image.numel() == 0:
        raise ImageError(f"Expected one RGB image (1,3,H,W), got {tuple(image.shape)}; pass one at a time.")
    if alpha is not None:
        if alpha.shape != (1, 1, *image.shape[-2:]):
            raise ImageError(f"Alpha {tuple(alpha.shape)} does not fit {tuple(image.shape)}; resize it.")
        image = torch.cat([image, alpha.to(image)], dim=1)
    image = image.detach().float()
    if not torch.isfinite(image).all():
        raise ImageError("The image holds NaN or infinite values; run again in float32 or report the photo.")
    levels = image[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B,C,H,W) -> (B,C,h,w) in [0,1]: bicubic, antialiased (as Pillow's) when a side shrinks."""
    if min(size) < 1:
        raise ImageError(f"Cannot resize to height and width {tuple(size)}; both must be at least 1.")
    if tuple(x.shape[-2:]) == tuple(size):
        return x.clamp(0, 1)
    # Enlarging, torch's plain kernel (a = -0.75) is the one in which networks saw small photos in training.
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return F.interpolate(x, size=tuple(size), mode="bicubic", antialias=shrinks).clamp(0, 1)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Extend (B,C,H,W) at the bottom and right to multiples of `multiple`; returns it with the old (H, W).

    The image is mirrored, as often as needed for sides shorter than the padding; a side of 1 is repeated.
    """
    if multiple < 1:
        raise ImageError(f"Cannot pad to a multiple of {multiple}; use 1 or more.")
    height, width = x.shape[-2:]
    for dim, size in ((-2, height), (-1, width)):
        target = -(-size // multiple) * multiple
        if target != size:
            period = max(2 * (size - 1), 1)
            place = torch.arange(target, device=x.device) % period
            x = x.index_select(dim, torch.minimum(place, period - place).clamp_max(size - 1))
    return x, (height, width)


def crop(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The top left (h, w) of (B,C,H,W): undoes `pad_to_multiple`."""
    return x[..., : size[0], : size[1]]


def _readable_file(source: str | Path) -> Path:
    if not isinstance(source, str | Path):
        raise ImageError(f"Expected a PIL image or the path of a photo, got {type(source).__name__}.")
    path = Path(source)
    try:
        size = path.stat().st_size
        if path.is_file():
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{source} does not exist; check the name and the folder.") from error
    except (OSError, ValueError) as error:  # no permission, name too long or with NUL, stale network drive
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(source)!r} cannot be read ({reason}); check name and permissions.") from error
    if path.is_dir():
        raise ImageError(f"{source} is a folder; name the photos in it.")
    if not path.is_file():
        raise ImageError(f"{source} is not a regular file; name a photo.")
    if size == 0:
        raise ImageError(f"{source} is empty (0 bytes); copy or download it again.")
    return path


@contextmanager
def _pillow_errors(label: str, max_pixels: int) -> Iterator[None]:
    """Turn all that Pillow's decoders raise or warn about into one ImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(label, int(pixels[0]) if pixels else max_pixels, max_pixels) from error
    except MemoryError as error:
        raise ImageError(f"{label} does not fit in memory; make it smaller first.") from error
    except Exception as error:  # on damaged bytes decoders raise anything: struct.error, KeyError, zlib.error
        text = f"{label} is damaged or cut short ({error}); copy it again or export it as PNG or JPEG."
        raise ImageError(text) from error


def _too_large(label: str, pixels: int, max_pixels: int) -> ImageError:
    limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)) / 1e6  # Pillow's own limit
    size = f"{label} has {pixels / 1e6:.1f} megapixels, the limit is {limit:g}"
    return ImageError(f"{size}; make it smaller or cut it in parts.")


def _read(image: Image.Image, label: str, max_pixels: int) -> Loaded:
    width, height = image.size
    if width * height == 0:
        raise ImageError(f"{label} is {width}x{height} pixels: nothing to restore; give another image.")
    if width * height > max_pixels:
        raise _too_large(label, width * height, max_pixels)
    notes: list[str] = []
    with _pillow_errors(label, max_pixels):
        _note_losses(image, notes)
        image.load()
        icc, (exif, orientation) = image.info.get("icc_profile"), _exif(image, notes)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        if image.mode in _DEEP_MODES:
            if icc:
                notes.append("the colour profile of this deep grey photo was not applied")
            rgb, alpha, icc = torch.from_numpy(_deep_grey(image)).expand(3, -1, -1), None, None
        else:
            image, alpha = _split_alpha(image)
            image, icc = _to_srgb(image, icc, notes)
            rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)
    return Loaded(rgb[None].contiguous(), alpha, icc, exif, tuple(notes))


def _note_losses(image: Image.Image, notes: list[str]) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a phone photo with a preview or gain map behind it
        which = "the first" if image.tell() == 0 else f"number {image.tell() + 1}"
        kind, part = ("file of pages", "pages") if image.format == "TIFF" else ("animated image", "frames")
        notes.append(f"{kind}: only {which} of {frames} {part} was used")
    if image.mode not in _DEEP_MODES and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        notes.append("16 bits per channel were reduced to 8")  # Pillow has no deep colour mode


def _exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    """EXIF worth keeping and the orientation (1 to 8); broken EXIF is dropped, never the photo."""
    orientation = 1
    try:
        old, new = image.getexif(), Image.Exif()
        orientation = old.get(_ORIENTATION, 1)
        for tag in _EXIF_KEPT:
            if tag in old:
                new[tag] = old[tag]
        for tag in _EXIF_DIRECTORIES:
            if directory := old.get_ifd(tag):
                new[tag] = {key: value for key, value in directory.items() if key not in _EXIF_SIZES}
        return (new.tobytes() if len(new) else None), orientation
    except Exception:  # Pillow's EXIF reader and writer raise anything on broken blocks
        notes.append("the photo's EXIF data is damaged and was dropped")
        return None, orientation


def _deep_grey(image: Image.Image) -> np.ndarray:
    """16-bit, 32-bit or float grey -> (H,W) float32 in [0,1], by the range its type or values imply."""
    values = np.nan_to_num(np.array(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = values.max()
    if image.mode == "F":
        top = max(1.0, highest)
    elif image.mode == "I":  # 32 bits hold 8-bit, 16-bit or larger numbers alike
        top = next((limit for limit in (255.0, 65535.0) if highest <= limit), highest)
    else:
        top = 65535.0
    return np.clip(values / top, 0, 1).astype(np.float32)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, torch.Tensor | None]:
    """-> image of mode L, RGB or CMYK, and alpha (1,1,H,W) in [0,1] or None."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = torch.from_numpy(np.array(image.getchannel("A"))).float().div_(255)
        return image.convert("RGB"), alpha[None, None]
    return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None


def _to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> tuple[Image.Image, bytes | None]:
    """Mode L, RGB or CMYK -> RGB with sRGB numbers, and the profile that describes them."""
    if not icc:
        if image.mode == "CMYK":
            notes.append("CMYK photo without a colour profile: its colours are approximate")
        return image.convert("RGB"), None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK"):
            raise ValueError(f"a {mode} profile on {image.mode} pixels")
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        target = ImageCms.ImageCmsProfile(io.BytesIO(_srgb_profile()))
        transform = ImageCms.buildTransform(profile, target, mode, "RGB", intent, flags)
        if mode != "CMYK" and _changes_nothing(transform, mode):
            return image.convert("RGB"), icc if mode == "RGB" else _srgb_profile()
        return ImageCms.applyTransform(image.convert(mode), transform), _srgb_profile()
    except (ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError) as error:
        notes.append(f"the embedded colour profile could not be applied ({error}): colours may be off")
        return image.convert("RGB"), None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Is the profile sRGB in effect? Tried on a colour grid, since names of profiles tell little."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
    patches = Image.fromarray(grid).convert(mode)
    before = np.asarray(patches.convert("RGB"), dtype=int)
    after = np.asarray(ImageCms.applyTransform(patches, transform), dtype=int)
    return bool(abs(after - before).max() <= 2)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _encode(photo: Loaded, path: Path, quality: int, notes: list[str]) -> bytes:
    picture, file_format = to_pil(photo.rgb, photo.alpha), SUFFIXES[path.suffix.lower()]
    options: dict[str, object] = {"exif": photo.exif, "icc_profile": photo.icc_profile, "quality": quality}
    if file_format == "JPEG":
        options["subsampling"] = 0  # full colour resolution: restored edges keep their colour
        if picture.mode == "RGBA":
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture).convert("RGB")
            notes.append("JPEG has no transparency: the photo was laid on white")
        if photo.exif is not None and len(photo.exif) > _LONGEST_JPEG_EXIF:
            options["exif"] = None
            notes.append("the EXIF data is too long for JPEG and was dropped")
    options = {name: value for name, value in options.items() if value is not None}
    buffer = io.BytesIO()
    try:
        picture.save(buffer, file_format, **options)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ImageError(f"Cannot write {path} as {file_format} ({error}); use .png instead.") from error
    return buffer.getvalue()


def _write(data: bytes, path: Path, overwrite: bool) -> None:
    """Write beside the target under another name, then put it in place in one step."""
    temporary = path.parent / f".lwr-{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
        if overwrite:
            os.replace(temporary, path)
            return
        try:
            os.link(temporary, path)  # unlike a rename, refuses when someone else made the file meanwhile
        except FileExistsError:
            raise
        except OSError:  # FAT and some network drives have no links
            path.open("xb").close()  # claims the name, or raises FileExistsError
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
