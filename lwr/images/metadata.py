"""What a photo carries beside its pixels, such as date and place, told from the layout of the old file."""

from PIL import Image

_ORIENTATION = 274
# Descriptive EXIF tags of the main directory, and the Exif and GPS directories. The rest describes the layout
# of the old file (strips, sizes, orientation, thumbnail) and would be false in the new one.
_EXIF_KEPT = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
_EXIF_DIRECTORIES = (0x8769, 0x8825)
_EXIF_SIZES = (0xA002, 0xA003)


def take_exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
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
