"""Good photos of the open that are easily taken for bad ones: skies, snow, nights.

Each is f(stream, (H, W)) -> (1,3,H,W) in [0,1], 8-bit, and nearly each has something crisp in it.
"""

import math
import random

import numpy as np
import torch
from PIL import ImageDraw

from training.diagnosis.textures import (
    FINER,
    Colour,
    Size,
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

# From the zenith to the horizon
SKIES: dict[str, tuple[Colour, ...]] = {
    "noon": ((45, 95, 175), (110, 165, 225), (190, 215, 235)),
    "deep": ((10, 45, 115), (30, 90, 180), (95, 155, 220)),
    "pale": ((150, 185, 225), (195, 215, 235), (232, 238, 242)),
    "overcast": ((175, 180, 188), (205, 208, 212), (226, 227, 228)),
    "sunset": ((55, 60, 115), (190, 110, 110), (250, 165, 80), (255, 220, 150)),
    "dawn": ((90, 130, 190), (200, 180, 200), (250, 210, 180)),
    "dusk": ((15, 20, 50), (40, 55, 110), (140, 100, 130), (230, 150, 110)),
}
LIT = ("noon", "deep", "pale", "overcast")  # what stands before the others is nearly black


def sky(stream: random.Random, size: Size) -> torch.Tensor:
    """A clear or lightly clouded sky with something crisp before it, seldom without."""
    kind = stream.choice(list(SKIES))
    levels = _gradient(stream, size, SKIES[kind])
    rng = rng_of(stream)
    if stream.random() < 0.35:  # clouds
        puffs = fractal(rng, size, stream.uniform(1.5, 1.9), stretch=stream.choice((0.4, 0.6, 1.0)))
        share = np.clip(puffs * stream.uniform(0.3, 0.8) - stream.uniform(0, 0.6), 0, 0.9)
        levels = mixed(levels, share, hsv(stream, (0.05, 0.12), (0, 0.2 if kind in LIT else 0.5), (0.8, 1)))
    if stream.random() < 0.3:  # the sun, or where it went down
        y, x = grid(size)
        far = np.hypot(y - stream.uniform(0.2, 1) * size[0], x - stream.uniform(0, 1) * size[1])
        glow = np.exp(-far / (stream.uniform(0.05, 0.4) * max(size)))
        levels = mixed(levels, 0.8 * glow, (255, 250, 225))
    fine = stream.uniform(0.2, 0.7) * rng.standard_normal((*size, 1), dtype=np.float32)
    levels = (levels + fine).clip(0, 255)  # as cameras have it, which hides bands
    picture, draw = enlarged(levels)
    dark = kind not in LIT
    before = stream.choice((_branches, _branches, _town, _town, _hills, _hills, _wires, _birds, _nothing))
    before(stream, draw, (FINER * size[0], FINER * size[1]), dark)
    drawn = reduced(picture)
    if stream.random() < 0.6:  # what stands before it is seldom flat
        solid = np.clip(np.abs(drawn - levels).max(-1) / 40, 0, 1)
        rough = stream.uniform(0.03, 0.18) * fractal(rng, size, stream.uniform(0.7, 1.0))
        drawn = drawn * (1 + solid * rough)[..., None]
    return picture_of(drawn)


def _gradient(stream: random.Random, size: Size, stops: tuple[Colour, ...]) -> np.ndarray:
    """Levels from the top to the bottom, somewhat turned, each colour somewhat another."""
    y, x = grid(size)
    tilt = stream.uniform(-0.25, 0.25)
    at = (y / size[0] + tilt * (x / size[1] - 0.5) - stream.uniform(-0.2, 0.3)) / stream.uniform(0.7, 1.4)
    other = [[part + stream.uniform(-14, 14) for part in stop] for stop in stops]
    steps, places = np.linspace(0, 1, 2048), np.linspace(0, 1, len(stops))
    colours = np.stack([np.interp(steps, places, channel) for channel in zip(*other, strict=True)], -1)
    return colours.astype(np.float32)[(2047 * at.clip(0, 1)).astype(int)]


def _shade(stream: random.Random, dark: bool, hue: tuple[float, float] = (0, 1)) -> Colour:
    return hsv(stream, hue, (0.1, 0.5), (0.0, 0.12) if dark else (0.2, 0.75))


def _branches(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """One to three bare or leafy boughs from the edges."""
    bark = hsv(stream, (0.03, 0.12), (0.1, 0.5), (0.02, 0.3 if not dark else 0.1))
    leaf = None if stream.random() < 0.5 else _shade(stream, dark, (0.08, 0.4))
    for _ in range(stream.randint(1, 3)):
        left, upright = stream.random() < 0.5, stream.random() < 0.4
        x = stream.uniform(0, size[1]) if upright else (0 if left else size[1])
        y = size[0] if upright else stream.uniform(0.1, 0.9) * size[0]
        turn = -math.pi / 2 if upright else (0.0 if left else math.pi)
        boughs = [(x, y, turn, stream.uniform(0.25, 0.4) * min(size), stream.uniform(5, 18))]
        for _ in range(90):
            if not boughs:
                break
            x, y, turn, length, thick = boughs.pop(0)
            turn += stream.gauss(0, 0.15)
            end = x + length * math.cos(turn), y + length * math.sin(turn)
            draw.line((x, y, *end), bark, max(1, round(thick)))
            if leaf and thick < 5:
                for _ in range(5):
                    at, wide = stream.random(), stream.uniform(3, 12)
                    a, b = x + at * (end[0] - x), y + at * (end[1] - y) + stream.uniform(-8, 8)
                    draw.ellipse((a - wide, b - wide * 0.6, a + wide, b + wide * 0.6), leaf)
            if thick > 1.2:
                for side in (-0.5, 0.45):
                    share = stream.uniform(0.55, 0.85)
                    boughs.append(
                        (*end, turn + side * stream.uniform(0.4, 1.6), length * share, thick * 0.62)
                    )


def _town(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """Houses with windows."""
    x = -stream.uniform(0, 40)
    while x < size[1]:
        wide, top = stream.uniform(0.06, 0.25) * size[1], stream.uniform(0.35, 0.9) * size[0]
        wall = _shade(stream, dark)
        draw.rectangle((x, top, x + wide, size[0]), wall)
        if stream.random() < 0.35:
            draw.polygon((x, top, x + wide / 2, top - stream.uniform(0.2, 0.8) * wide, x + wide, top), wall)
        elif stream.random() < 0.3:
            draw.line((x + wide / 2, top, x + wide / 2, top - stream.uniform(10, 80)), wall, 3)
        glass = _shade(stream, dark) if not dark else hsv(stream, (0.08, 0.15), (0.3, 0.7), (0.1, 1))
        _windows(stream, draw, (x, top, x + wide, size[0]), glass, stream.uniform(0.1, 0.9))
        x += wide + stream.choice((0, 0, 6, 40))


def _windows(
    stream: random.Random,
    draw: ImageDraw.ImageDraw,
    house: tuple[float, float, float, float],
    glass: Colour,
    share: float,
) -> None:
    """Rows of them, a share of all; `house` is left, top, right, bottom."""
    left, top, right, bottom = house
    across, down = stream.uniform(14, 30), stream.uniform(18, 36)
    wide, high = stream.uniform(0.35, 0.7) * across, stream.uniform(0.4, 0.7) * down
    for row in range(min(20, int((bottom - top) / down))):
        for column in range(min(20, int((right - left - 6) / across))):
            if stream.random() < share:
                x, y = left + 6 + column * across, top + 8 + row * down
                light = stream.uniform(0.6, 1)
                draw.rectangle((x, y, x + wide, y + high), tuple(int(part * light) for part in glass))


def _hills(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """One to three ridges, the nearest with firs; near as they are, nothing pales."""
    count = stream.randint(1, 3)
    for place in range(count):
        shade = _shade(stream, dark, (0.15, 0.45))
        base = stream.uniform(0.4, 0.6) + 0.4 * (place + 1) / (count + 1)
        waves = [
            (stream.uniform(0.003, 0.1) / each, stream.uniform(1, 9) * each, stream.random() * 7)
            for each in (1, 2, 4, 9, 20)
        ]
        columns = np.arange(0, size[1] + 2, 2)
        ridge = base + sum(high * np.sin(f * columns / size[1] * 2 + phase) for high, f, phase in waves)
        ridge *= size[0]
        line = list(zip(columns.tolist(), ridge.tolist(), strict=True))
        draw.polygon([(0, size[0]), *line, (size[1], size[0])], shade)
        if place == count - 1 and stream.random() < 0.7:
            for _ in range(stream.randint(10, 60)):
                x, y = stream.choice(line)
                high = stream.uniform(0.04, 0.2) * size[0]
                slim = high * stream.uniform(0.12, 0.25)
                for part in (0, 0.25, 0.5):
                    low, tip = y + 6 - part * high, y - (part + 0.5) * high
                    wide = slim * (1 - part)
                    draw.polygon((x - wide, low, x, tip, x + wide, low), shade)


def _wires(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """Poles and cables."""
    shade = _shade(stream, dark or stream.random() < 0.7)
    for _ in range(stream.randint(2, 7)):
        y, end, sag = (stream.uniform(0, 0.8) * size[0] for _ in range(3))
        middle = (y + end) / 2 + 0.3 * sag
        curve = [
            (
                t * size[1] / 20,
                y * (1 - t / 20) ** 2 + 2 * middle * t / 20 * (1 - t / 20) + end * (t / 20) ** 2,
            )
            for t in range(21)
        ]
        draw.line(curve, shade, stream.randint(1, 4))
    for _ in range(stream.randint(1, 3)):
        x, top, thick = stream.uniform(0, size[1]), stream.uniform(0, 0.5) * size[0], stream.uniform(3, 16)
        draw.rectangle((x, top, x + thick, size[0]), shade)
        draw.rectangle((x - 5 * thick, top + 20, x + 6 * thick, top + 20 + thick / 2), shade)


def _birds(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """Small things far up: birds, balloons."""
    for _ in range(stream.randint(2, 16)):
        x, y, wide = stream.uniform(0, size[1]), stream.uniform(0, size[0]), stream.uniform(5, 36)
        if stream.random() < 0.7:
            up = stream.uniform(-0.5, 0.7) * wide
            thick = stream.randint(2, 5)
            draw.line((x - wide, y - up, x, y, x + wide, y - up), _shade(stream, True), thick)
        else:
            draw.ellipse((x - wide, y - wide, x + wide, y + 1.2 * wide), _shade(stream, dark))


def _nothing(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, dark: bool) -> None:
    """A bare sky is a good photo, too."""


def snow(stream: random.Random, size: Size) -> torch.Tensor:
    """Bright snow with fine relief, tracks, and few or no dark things."""
    rng = rng_of(stream)
    y, x = grid(size)
    relief = fractal(rng, size, stream.uniform(1.2, 2.2))
    lit = np.gradient(relief, axis=1) + stream.uniform(-0.5, 0.5) * np.gradient(relief, axis=0)
    grains = fractal(rng, size, stream.uniform(0.4, 0.9))
    light = stream.uniform(0.8, 0.96) + stream.uniform(0.02, 0.07) * lit / lit.std()
    light += stream.uniform(0.006, 0.025) * grains
    light += (rng.random(size, dtype=np.float32) < stream.uniform(0, 0.01)) * 0.12  # glitter
    horizon = stream.choice((-9.0, stream.uniform(0.1, 0.45))) * size[0]
    bend = 0.05 * size[0] * np.sin(x / size[1] * stream.uniform(1, 8) + stream.uniform(0, 6))
    levels = tinted(light, hsv(stream, (0.55, 0.65), (0, 0.09), (0.95, 1)))
    heaven = _gradient(stream, size, SKIES[stream.choice(("pale", "overcast", "noon", "dawn"))])
    levels = mixed(levels, within(y - horizon - bend), heaven)
    picture, draw = enlarged(levels)
    large = FINER * size[0], FINER * size[1]
    for _ in range(stream.randint(0, 3)):  # tracks
        at, turn = stream.uniform(0, large[1]), stream.uniform(-0.6, 0.6)
        shade = hsv(stream, (0.58, 0.64), (0.02, 0.1), (0.68, 0.85))
        for row in range(int(max(horizon, 0)) * 2 + 20, large[0], stream.randint(14, 40)):
            near = 0.3 + row / large[0]
            at += turn * 10 + stream.gauss(0, 3)
            draw.ellipse((at - 9 * near, row - 5 * near, at + 9 * near, row + 5 * near), shade)
            draw.arc((at - 9 * near, row - 4 * near, at + 9 * near, row + 6 * near), 10, 170, "white", 2)
    for _ in range(stream.choice((0, 1, 4, 14))):  # grass, poles, trees
        x0, y0 = stream.uniform(0, large[1]), stream.uniform(max(2 * horizon, 0), large[0])
        high = stream.uniform(0.05, 0.5) * large[0]
        shade = hsv(stream, (0.05, 0.4), (0, 0.5), (0.1, 0.6))
        draw.line((x0, y0, x0 + stream.uniform(-0.2, 0.2) * high, y0 - high), shade, stream.randint(2, 9))
    if stream.random() < 0.3:
        _branches(stream, draw, large, True)
    return picture_of(reduced(picture))


def night(stream: random.Random, size: Size) -> torch.Tensor:
    """Mostly black, with crisp points of light, lit windows or signs."""
    rng = rng_of(stream)
    sky_ = hsv(stream, (0.55, 0.75), (0.2, 0.8), (0.0, 0.12))
    levels = tinted(np.linspace(stream.uniform(0, 1), 1, size[0], dtype=np.float32)[:, None], sky_)
    levels = np.broadcast_to(levels, (*size, 3)).copy()
    if stream.random() < 0.4:
        shown = np.clip(fractal(rng, size, 1.8), 0, 2) * stream.uniform(0.005, 0.03)
        levels = levels + tinted(shown, hsv(stream, (0.5, 0.9), (0, 0.5), (0.8, 1)))
    if stream.random() < 0.6:  # stars, few of them bright
        stars = (rng.random(size, dtype=np.float32) < stream.uniform(0.0005, 0.01)) * rng.random(size) ** 2
        levels = levels + tinted(255 * stars.astype(np.float32), hsv(stream, (0, 1), (0, 0.2), (0.9, 1)))
    y, x = grid(size)
    for _ in range(stream.choice((1, 2, 5))):  # lamps
        row, column = stream.uniform(0.2, 0.9) * size[0], stream.uniform(0, 1) * size[1]
        far = np.hypot(y - row, x - column)
        colour = hsv(stream, (0.05, 0.16), (0.1, 0.7), (0.9, 1))
        glow = np.exp(-far / stream.uniform(2, 14)) * stream.uniform(0.2, 0.7)
        levels = mixed(levels, np.maximum(glow, within(far - stream.uniform(1, 4))), colour)
    picture, draw = enlarged(levels)
    large = FINER * size[0], FINER * size[1]
    kind = stream.choice(("town", "town", "signs", "moon", "roofs", "trees"))
    if kind == "town":
        _town(stream, draw, large, True)
    elif kind == "roofs":
        _hills(stream, draw, large, True)
    elif kind == "trees":
        _branches(stream, draw, large, True)
    elif kind == "moon":
        wide, row, column = stream.uniform(12, 80), stream.random() * large[0], stream.random() * large[1]
        ball = column - wide, row - wide, column + wide, row + wide
        draw.ellipse(ball, hsv(stream, (0.1, 0.16), (0, 0.3), (0.85, 1)))
        for _ in range(8):
            a, b, c = (stream.uniform(-0.6, 0.6) for _ in range(3))
            spot = column + (a - 0.1) * wide, row + (b - 0.1) * wide
            draw.ellipse((*spot, spot[0] + abs(c) * wide, spot[1] + abs(c) * wide), (200, 195, 180))
    else:
        _signs(stream, draw, large)
    return picture_of(reduced(picture))


def _signs(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size) -> None:
    """Neon tubes and rows of bulbs."""
    for _ in range(stream.randint(1, 5)):
        x, y = stream.uniform(0, 0.8) * size[1], stream.uniform(0, 0.9) * size[0]
        colour, wide = hsv(stream, (0, 1), (0.3, 1), (0.8, 1)), stream.uniform(40, 200)
        if stream.random() < 0.5:
            draw.rounded_rectangle(
                (x, y, x + wide, y + wide / 2), 9, outline=colour, width=stream.randint(2, 6)
            )
        for step in range(stream.randint(3, 14)):
            a, b = x + 8 + step * 14, y + wide / 4
            draw.ellipse((a - 4, b - 4, a + 4, b + 4), colour)
