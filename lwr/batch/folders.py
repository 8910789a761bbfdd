"""Folders that a command makes for its results."""

from pathlib import Path

from lwr.images import disk
from lwr.images.files import DiskFullError, ImageError


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make a folder and those above it; ImageError names the option that was to give one that can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        if getattr(error, "errno", None) in disk.FULL:
            raise DiskFullError(disk.why_full(error, folder), folder, 0) from error
        reason = getattr(error, "strerror", None) or error
        text = f"The folder {folder} cannot be made ({reason}): choose another {option}."
        raise ImageError(text) from error
