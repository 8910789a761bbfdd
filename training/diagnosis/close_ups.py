"""Good photos from near that are easily taken for bad ones: pale walls, bokeh, textures.

Each is f(stream, (H, W)) -> (1,3,H,W) in [0,1], 8-bit, and has something crisp in it.
"""

import math
import random

import numpy as np
import torch
from PIL import Image, ImageDraw

from training.diagnosis.textures import (
    FINER,
    Colour,
    Range,
    Size,
    any_texture,
    enlarged,
    fractal,
    grid,
    hsv,
    mixed,
    picture_of,
    reduced,
    rng_of,
    tinted,
    within,
)


def wall(stream: random.Random, size: Size) -> torch.Tensor:
    """Pale plaster, concrete or paint with a sharp crack, door, window, frame or shadow."""
    rng = rng_of(stream)
    y, x = grid(size)
    paint = hsv(stream, (0, 1), (0, 0.22), (0.68, 0.99))
    light = 1 + stream.uniform(0.004, 0.035) * fractal(rng, size, stream.uniform(0.6, 1.2))
    light += stream.uniform(-0.15, 0.15) * (x / size[1] - 0.5) + stream.uniform(-0.15, 0.15) * (
        y / size[0] - 0.5
    )
    if stream.random() < 0.25:  # bricks under paint
        high = stream.uniform(8, 24)
        row = (y / high).astype(int)
        column = x / (2.2 * high) + 0.5 * (row % 2)
        joint = np.maximum(within((y % high) - 1), within((column % 1) * 2.2 * high - 1))
        light = light - stream.uniform(0.04, 0.2) * joint
    if stream.random() < 0.3:  # the edge of a shadow
        edge = (x - stream.uniform(0, 1) * size[1]) + stream.uniform(-1, 1) * (y - size[0] / 2)
        light = light * (1 - stream.uniform(0.08, 0.3) * np.clip(0.5 + edge / stream.uniform(1, 6), 0, 1))
    picture, draw = enlarged(tinted(light, paint))
    large = FINER * size[0], FINER * size[1]
    for _ in range(stream.randint(0, 3)):
        _crack(stream, draw, large, paint)
    for _ in range(stream.choice((0, 1, 1, 2))):
        _opening(stream, draw, large, paint)
    return picture_of(reduced(picture))


def _crack(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, paint: Colour) -> None:
    """A thin line that wanders."""
    darker = stream.uniform(0.4, 0.85)
    x, y, turn = stream.uniform(0, size[1]), stream.uniform(0, size[0]), stream.uniform(0, 6.3)
    line = [(x, y)]
    for _ in range(stream.randint(10, 60)):
        turn += stream.gauss(0, 0.5)
        x, y = x + 9 * math.cos(turn), y + 9 * math.sin(turn)
        line.append((x, y))
    draw.line(line, tuple(int(darker * part) for part in paint), stream.randint(1, 4))


def _opening(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, paint: Colour) -> None:
    """A door, a window, a picture or a switch, with a frame and the shadow below it."""
    wide, high = (max(40.0, stream.uniform(0.04, 0.55) * side) for side in size[::-1])
    x, y = stream.uniform(0, size[1] - wide), stream.uniform(0, size[0] - high)
    shadow, frame = (
        tuple(int(share * part) for part in paint) for share in (0.75, stream.uniform(0.8, 1.04))
    )
    inside = stream.choice((hsv(stream, (0, 1), (0, 0.5), (0.25, 0.9)), frame, paint))
    thick = stream.randint(2, 14)
    draw.rectangle((x + 5, y + 7, x + wide + 5, y + high + 7), shadow)
    draw.rectangle((x, y, x + wide, y + high), frame)
    draw.rectangle((x + thick, y + thick, x + wide - thick, y + high - thick), inside, outline=shadow)
    for step in range(1, stream.randint(1, 4)):
        across = y + high * step / 4
        draw.line((x + thick, across, x + wide - thick, across), frame, 3)


def bokeh(stream: random.Random, size: Size) -> torch.Tensor:
    """One sharp subject before a background far out of focus, with discs of light."""
    hue = stream.random()
    hues = hue, hue + stream.choice((0.1, 0.3, 1.0))
    levels = _discs(stream, _far_away(stream, size, hues), hues)
    subject = any_texture(stream, size)
    subject *= stream.uniform(0.5, 1.1)
    return picture_of(mixed(levels, _subject(stream, size), subject))


def _far_away(stream: random.Random, size: Size, hues: Range) -> np.ndarray:
    """Levels of a few colours that run into each other."""
    spot, turn = stream.uniform(18, 60), stream.uniform(0, 2 * math.pi)
    count = math.ceil(math.hypot(*size) / spot) + 5
    value = stream.choice(((0.02, 0.35), (0.2, 0.8), (0.6, 1.0)))
    spots = [[hsv(stream, hues, (0.05, 0.7), value) for _ in range(count)] for _ in range(count)]
    right, down = math.cos(turn) / spot, math.sin(turn) / spot
    left = count / 2 - right * size[1] / 2 - down * size[0] / 2
    top = count / 2 + down * size[1] / 2 - right * size[0] / 2
    rough = Image.fromarray(np.array(spots, np.uint8)).transform(
        size[::-1],
        Image.Transform.AFFINE,
        (right, down, left, -down, right, top),
        Image.Resampling.BICUBIC,
    )
    return np.array(rough, np.float32)


def _discs(stream: random.Random, levels: np.ndarray, hue: Range) -> np.ndarray:
    """Lights out of focus: discs with soft edges, somewhat brighter at the rim."""
    size = levels.shape[:2]
    radius, soft = stream.uniform(0.02, 0.12) * min(size) + 3, stream.uniform(1.5, 6)
    for _ in range(stream.choice((0, 6, 14, 22))):
        own = radius * stream.uniform(0.8, 1.2)
        row, column = stream.uniform(0, 1) * size[0], stream.uniform(0, 1) * size[1]
        reach = own + soft + 1
        top, left = max(0, int(row - reach)), max(0, int(column - reach))
        part = levels[top : int(row + reach), left : int(column + reach)]
        y, x = grid(part.shape[:2])
        far = np.hypot(y + top - row, x + left - column)
        share = np.clip(0.5 + (own - far) / soft, 0, 1) * stream.uniform(0.15, 0.7) * (0.8 + 0.2 * far / own)
        colour = hsv(stream, hue, (0, 0.7), (0.75, 1))
        levels[top : int(row + reach), left : int(column + reach)] = mixed(part, share.clip(0, 1), colour)
    return levels


def _subject(stream: random.Random, size: Size) -> np.ndarray:
    """The share (H,W) of each pixel that a sharp subject covers: a blob, a bust, stems or a board."""
    picture = Image.new("L", [FINER * side for side in size[::-1]])
    draw = ImageDraw.Draw(picture)
    high, wide = FINER * size[0], FINER * size[1]
    x, y = stream.uniform(0.25, 0.75) * wide, stream.uniform(0.3, 0.7) * high
    large = stream.uniform(0.18, 0.4) * min(high, wide)
    kind = stream.choice(("blob", "flower", "bust", "stems", "board"))
    if kind in ("blob", "flower"):
        turns = np.linspace(0, 2 * math.pi, 120)
        petals = stream.randint(4, 9) if kind == "flower" else 0
        reach = large * (1 + 0.35 * np.sin(petals * turns) if petals else 1)
        for each in range(2, 6):
            reach = reach + large * stream.uniform(0, 0.15) * np.sin(each * turns + stream.uniform(0, 6))
        outline = np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], 1)
        draw.polygon(outline.ravel().tolist(), 255)
    elif kind == "bust":
        draw.ellipse((x - 0.6 * large, y - 1.2 * large, x + 0.6 * large, y + 0.4 * large), 255)
        draw.ellipse((x - 1.3 * large, y + 0.3 * large, x + 1.3 * large, y + 4 * large), 255)
        for _ in range(60):  # hair
            side = stream.uniform(-0.55, 0.55)
            a, b = x + side * large, y - (0.35 + 0.8 * math.sqrt(1 - (side / 0.6) ** 2)) * large
            draw.line((a, b, a + stream.gauss(0, 9), b - stream.uniform(5, 40)), 255, 1)
    elif kind == "stems":
        for _ in range(stream.randint(6, 40)):
            a = stream.gauss(x, 0.3 * wide)
            b = stream.uniform(0.1, 0.7) * high
            draw.line((a, high, a + stream.gauss(0, 60), b), 255, stream.randint(3, 16))
    else:
        draw.polygon(
            (
                x - large,
                y - large,
                x + large,
                y - large * stream.uniform(0.6, 1.2),
                x + large,
                high,
                x - large,
                high,
            ),
            255,
        )
    return np.asarray(picture.reduce(FINER), np.float32) / 255


def texture(stream: random.Random, size: Size) -> torch.Tensor:
    """Fine grain that is detail: one texture, at times lit from a side, at times a second one beside it."""
    levels = any_texture(stream, size)
    if stream.random() < 0.25:
        shape = _subject(stream, size)
        levels = mixed(levels, shape, any_texture(stream, size))
    if stream.random() < 0.5:
        y, x = grid(size)
        levels = (
            levels
            * (1 + stream.uniform(-0.4, 0.4) * (x / size[1] - 0.5) + 0.3 * (y / size[0] - 0.5))[..., None]
        )
    return picture_of(levels)
