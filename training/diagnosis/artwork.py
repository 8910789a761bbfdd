"""Good pictures made by hand: line drawings, comics, maps, charts, flat icons, large letters.

Edges are sharp and smooth, areas flat: neither blur nor noise nor what JPEG leaves.
"""

import math
import random

import numpy as np
import torch
from PIL import ImageDraw, ImageFont

from training.diagnosis.textures import FINER, Colour, Range, Size, enlarged, hsv, picture_of, reduced

WORDS = (
    "Aa",
    "Rg",
    "OPEN",
    "Cafe",
    "42",
    "Zoo",
    "Map",
    "Nord",
    "&",
    "No. 7",
    "wow!",
    "SALE",
    "Quay",
    "fig. 3",
)


def art(stream: random.Random, size: Size) -> torch.Tensor:
    """One of the kinds below, on paper of any colour: (1,3,H,W) in [0,1], 8-bit."""
    value = stream.choice(((0.9, 1.0), (0.9, 1.0), (0.05, 0.25), (0.3, 0.9)))
    paper = hsv(stream, (0, 1), (0, 0.25), value)
    picture, draw = enlarged(np.full((*size, 3), paper, np.float32))
    ink = (15, 15, 20) if sum(paper) > 330 else (240, 240, 235)
    kind = stream.choice((_lines, _comic, _map, _icons, _letters, _chart))
    kind(stream, draw, (FINER * size[0], FINER * size[1]), ink)
    return picture_of(reduced(picture))


def _curve(
    stream: random.Random, size: Size, step: float, bend: float, count: int
) -> list[tuple[float, float]]:
    """A line that wanders over the paper."""
    x, y, turn = stream.uniform(0, size[1]), stream.uniform(0, size[0]), stream.uniform(0, 6.3)
    line, swing = [(x, y)], 0.0
    for _ in range(count):
        swing = 0.8 * swing + stream.gauss(0, bend)
        turn += swing
        x, y = x + step * math.cos(turn), y + step * math.sin(turn)
        line.append((x, y))
    return line


def _closed(stream: random.Random, size: Size, radius: Range) -> list[tuple[float, float]]:
    """The outline of a blob."""
    x, y, reach = stream.uniform(0, size[1]), stream.uniform(0, size[0]), stream.uniform(*radius) * min(size)
    waves = [(each, stream.uniform(0, 0.3) / each, stream.uniform(0, 6.3)) for each in (1, 2, 3, 5)]
    outline = []
    for step in range(60):
        turn = step / 60 * 2 * math.pi
        far = reach * (1 + sum(high * math.sin(each * turn + phase) for each, high, phase in waves))
        outline.append((x + far * math.cos(turn), y + far * math.sin(turn)))
    return outline


def _flat(stream: random.Random) -> Colour:
    return hsv(stream, (0, 1), (0.1, 0.95), (0.3, 1))


def _lines(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """Pen drawing: curves and hatching."""
    for _ in range(stream.randint(6, 22)):
        draw.line(_curve(stream, size, 8, 0.07, stream.randint(10, 60)), ink, stream.randint(2, 6), "curve")
    for _ in range(stream.randint(1, 8)):
        x, y = stream.uniform(0, size[1]), stream.uniform(0, size[0])
        turn, apart, long = stream.uniform(0, 3.2), stream.uniform(5, 14), stream.uniform(20, 110)
        for step in range(stream.randint(6, 24)):
            a, b = x - step * apart * math.sin(turn), y + step * apart * math.cos(turn)
            reach = long * stream.uniform(0.8, 1.2)
            draw.line((a, b, a + reach * math.cos(turn), b + reach * math.sin(turn)), ink, 2)


def _comic(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """Flat colours with thick outlines, dots of print, and a balloon with words."""
    thick = stream.randint(3, 10)
    for _ in range(stream.randint(4, 12)):
        outline = _closed(stream, size, (0.08, 0.35))
        draw.polygon(outline, _flat(stream))
        draw.line([*outline, outline[0]], ink, thick)
    left, top, apart = stream.uniform(0, size[1] / 2), stream.uniform(0, size[0] / 2), stream.randint(9, 18)
    dot, colour = apart * stream.uniform(0.2, 0.4), _flat(stream)
    for row in range(stream.randint(5, 20)):
        for column in range(stream.randint(5, 20)):
            x, y = left + (column + row % 2 / 2) * apart, top + row * apart
            draw.ellipse((x - dot, y - dot, x + dot, y + dot), colour)
    x, y, wide = stream.uniform(0, 0.7) * size[1], stream.uniform(0, 0.7) * size[0], stream.uniform(80, 220)
    draw.ellipse((x, y, x + wide, y + 0.6 * wide), "white" if ink[0] < 128 else "black", ink, thick)
    draw.text((x + wide / 2, y + 0.3 * wide), stream.choice(WORDS), ink, _font(wide / 5), "mm")
    frame = stream.randint(0, 16)
    if frame:
        draw.rectangle((0, 0, size[1] - 1, size[0] - 1), outline=ink, width=frame)


def _map(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """Lakes and woods, roads with rims, names."""
    for _ in range(stream.randint(2, 8)):
        hue, high = stream.choice(((0.5, 0.6), (0.22, 0.36))), stream.uniform(0.1, 0.3)
        draw.polygon(_closed(stream, size, (0.04, high)), hsv(stream, hue, (0.15, 0.6), (0.7, 0.95)))
    for _ in range(stream.randint(0, 6)):
        draw.line(_curve(stream, size, 9, 0.05, 80), hsv(stream, (0.5, 0.6), (0.3, 0.7), (0.6, 0.9)), 2)
    for _ in range(stream.randint(3, 12)):
        road, wide = _curve(stream, size, 30, 0.06, 40), stream.randint(4, 14)
        draw.line(road, tuple(part // 2 + 60 for part in ink), wide + 3, "curve")
        draw.line(road, stream.choice(("white", (250, 220, 120), (235, 150, 110))), wide, "curve")
    for _ in range(stream.randint(4, 14)):
        at = stream.uniform(0, size[1]), stream.uniform(0, size[0])
        draw.text(at, stream.choice(WORDS), ink, _font(stream.uniform(16, 40)))


def _icons(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """A grid of flat signs."""
    side = stream.randint(50, 160)
    colours = [_flat(stream) for _ in range(4)]
    for top in range(8, size[0], int(side * 1.25)):
        for left in range(8, size[1], int(side * 1.25)):
            box = left, top, left + side, top + side
            draw.rounded_rectangle(box, side // stream.choice((2, 5, 9)), stream.choice(colours))
            x, y, reach = left + side / 2, top + side / 2, side * stream.uniform(0.2, 0.36)
            sign, thick = stream.choice(("ring", "star", "cross", "bars", "letter")), max(3, side // 10)
            light = stream.choice(("white", ink, stream.choice(colours)))
            if sign == "ring":
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=light, width=thick)
            elif sign == "star":
                draw.regular_polygon((x, y, reach), stream.randint(3, 8), stream.randint(0, 60), light)
            elif sign == "cross":
                draw.line((x - reach, y - reach, x + reach, y + reach), light, thick)
                draw.line((x - reach, y + reach, x + reach, y - reach), light, thick)
            elif sign == "bars":
                for row in (-0.7, 0, 0.7):
                    draw.line((x - reach, y + row * reach, x + reach, y + row * reach), light, thick)
            else:
                draw.text((x, y), stream.choice("ABCDRSgkx?!#"), light, _font(1.6 * reach), "mm")


def _letters(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """A poster: large letters over plain areas."""
    for _ in range(stream.randint(0, 3)):
        x, y = stream.uniform(-0.3, 0.9) * size[1], stream.uniform(-0.3, 0.9) * size[0]
        box = x, y, x + stream.uniform(0.2, 0.9) * size[1], y + stream.uniform(0.1, 0.9) * size[0]
        stream.choice((draw.rectangle, draw.ellipse))(box, _flat(stream))
    top = stream.uniform(-20, 60)
    while top < size[0]:
        high = stream.uniform(30, 170)
        text = " ".join(stream.choices(WORDS, k=stream.randint(1, 4)))
        fill = ink if stream.random() < 0.6 else _flat(stream)
        draw.text((stream.uniform(-20, 0.4 * size[1]), top), text, fill, _font(high))
        top += high * stream.uniform(1, 1.6)


def _chart(stream: random.Random, draw: ImageDraw.ImageDraw, size: Size, ink: Colour) -> None:
    """Axes with curves or bars."""
    left, bottom = 50, size[0] - 50
    for step in range(1, 9):
        y = bottom * step / 9
        draw.line((left, y, size[1], y), tuple(part // 3 + 120 for part in ink), 1)
        draw.text((6, y), str(90 - 10 * step), ink, _font(20))
    count = stream.randint(4, 24)
    apart = (size[1] - left) / count
    for _ in range(stream.randint(1, 4)):
        colour, y, points = _flat(stream), stream.uniform(0.2, 0.9) * bottom, []
        for step in range(count):
            y = min(bottom - 4, max(10, y + stream.gauss(0, 0.1) * bottom))
            points.append((left + (step + 0.5) * apart, y))
        if stream.random() < 0.35:
            for x, y in points:
                draw.rectangle((x - 0.35 * apart, y, x + 0.35 * apart, bottom), colour)
        else:
            draw.line(points, colour, stream.randint(2, 6), "curve")
            for x, y in points:
                draw.ellipse((x - 6, y - 6, x + 6, y + 6), colour)
    draw.line((left, 0, left, bottom, size[1], bottom), ink, 3)


def _font(high: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8, round(high)))
