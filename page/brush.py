"""What a visitor paints on the photo: strokes from the browser, drawn here as a mask of the photo's size.

`static/brush.js` sends them in shares of the photo's sides, so it does not matter at which size, or as which
preview, a browser shows the photo; both show it upright.
"""

import json
import math
from itertools import chain
from typing import Any

from PIL import Image, ImageDraw

from lwr.repair.mask import MOST, check_width
from lwr.request import RestoreError
from page.errors import VISITOR_ERRORS
from page.inputs import upload_path
from page.service import upright_size

WIDEST = 30  # photo's pixels; a stroke so wide is no hole too wide, and compare.py says it to the browser
MOST_POINTS = 50_000  # of all strokes together
UNREADABLE = "What is painted cannot be read: clear it and paint again."
TOO_MUCH = "Too much is painted: clear it, and paint over the damage alone."
# (photo, its pixels) -> nothing: the comparison is told which photo can be painted on.
TELL = """(photo, pixels) => {
  const detail = {path: photo?.path, url: photo?.url, pixels};
  document.querySelector("#result .cmp")?.dispatchEvent(new CustomEvent("photo", {detail}));
  return [];
}"""
PAINTED = """() => document.querySelector("#result .cmp").painted ?? \"\""""


def pixels(image: Any) -> str:
    """ "640x480" of a picture widget's photo, upright; "" when there is none that can be read."""
    path = upload_path(image)
    try:
        return "" if path is None else "{1}x{0}".format(*upright_size(path))
    except VISITOR_ERRORS:
        return ""


def mask_of(painted: str, image: Any) -> Image.Image | None:
    """The mask (mode "1", white is painted) of the strokes on this photo; None when there are none.

    Those of another photo, which may still be on their way, do not count. RestoreError or ImageError for
    what cannot be read or filled.
    """
    path = upload_path(image)
    if path is None or not painted:
        return None
    try:
        given = json.loads(painted)
        if given["photo"] != image["path"] or not given["strokes"]:
            return None
        strokes = [
            (float(one["width"]), [(float(x), float(y)) for x, y in one["points"]])
            for one in given["strokes"]
        ]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise RestoreError(UNREADABLE) from None
    if sum(len(points) for _, points in strokes) > MOST_POINTS:
        raise RestoreError(TOO_MUCH)
    mask = _drawn(strokes, upright_size(path))
    check_width(mask)
    return mask


def _drawn(strokes: list[tuple[float, list[tuple[float, float]]]], size: tuple[int, int]) -> Image.Image:
    """Strokes (width, points), in shares of the photo's width and of its sides -> a mask of `size` (H,W)."""
    height, width = size
    mask = Image.new("1", (width, height))
    draw = ImageDraw.Draw(mask)
    for share, points in strokes:
        across = share * width
        places = [(x * width, y * height) for x, y in points]
        if not all(0 <= value <= 4 * max(size) for value in (across, *map(abs, chain(*places)))):
            raise RestoreError(UNREADABLE)
        across = min(across, 2 * MOST)  # no less too wide, and quick to draw
        reach = max(0.0, (across - 1) / 2)
        for x, y in places:
            x, y = math.floor(x), math.floor(y)
            draw.ellipse([x - reach, y - reach, x + reach, y + reach], fill=1)
        draw.line(places, fill=1, width=max(1, round(across)))
    return mask
