"""Fine detail that is no noise: grass, foliage, gravel, sand, fabric, wood, rock, and what they are made of.

Pictures here are levels, (H,W,3) float32 on the scale black = 0, white = 255; fields are (H,W) float32.
"""

import colorsys
import math
import random
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw

Size = tuple[int, int]  # (H, W)
Colour = tuple[int, int, int]
Range = tuple[float, float]
FINER = 2  # things are drawn at twice the size and reduced: edges are as sharp as a good lens makes them


def rng_of(stream: random.Random) -> np.random.Generator:
    """For fields and many things at once, from the picture's own stream."""
    return np.random.default_rng(stream.getrandbits(64))


def grid(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Rows (H,1) and columns (1,W) in pixels."""
    return np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)[None]


def hsv(stream: random.Random, hue: Range, saturation: Range, value: Range) -> Colour:
    """A colour of these ranges, each within [0,1] (a hue may pass 1)."""
    parts = stream.uniform(*hue) % 1, stream.uniform(*saturation), stream.uniform(*value)
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(*parts))


def fractal(rng: np.random.Generator, size: Size, slope: float, stretch: float = 1.0) -> np.ndarray:
    """(H,W) of mean 0 and deviation 1, whose amplitude falls with frequency to the power `slope`.

    Photos have about 1, clouds 2. `stretch` above 1 draws it out along the columns.
    """
    rows, columns = np.fft.fftfreq(size[0])[:, None] / stretch, np.fft.rfftfreq(size[1])[None]
    square = (rows * rows + columns * columns).astype(np.float32)
    square[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal(size, dtype=np.float32)) * square ** (-slope / 2)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=size).astype(np.float32)
    return field / max(float(field.std()), 1e-6)


def within(distance: np.ndarray) -> np.ndarray:
    """Share of each pixel that is covered, by the distance in pixels from an edge, negative inside."""
    return np.clip(0.5 - distance, 0, 1)


def tinted(field: np.ndarray, colour: Colour) -> np.ndarray:
    """(H,W) brightness, 1 as the colour is -> levels."""
    return field[..., None] * np.array(colour, np.float32)


def mixed(levels: np.ndarray, share: np.ndarray, other: np.ndarray | Colour) -> np.ndarray:
    """Levels with a share (H,W) in [0,1] of others, or of a colour, in their place."""
    return levels + share[..., None] * (np.asarray(other, np.float32) - levels)


def enlarged(levels: np.ndarray) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture `FINER` times as large, to draw on; `reduced` gives the same levels back where nothing is."""
    picture = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    picture = picture.resize([FINER * side for side in picture.size], Image.Resampling.NEAREST)
    return picture, ImageDraw.Draw(picture)


def reduced(picture: Image.Image) -> np.ndarray:
    """Levels of what was drawn on."""
    return np.asarray(picture.reduce(FINER), np.float32)


def picture_of(levels: np.ndarray) -> torch.Tensor:
    """Levels (H,W,3) -> (1,3,H,W) in [0,1], 8-bit."""
    whole = torch.from_numpy(levels.clip(0, 255).astype(np.uint8))
    return whole.permute(2, 0, 1)[None].float() / 255


def cells(rng: np.random.Generator, size: Size, side: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the nearest of scattered points, how much nearer it is than the second, and its own number.

    (H,W) each, the first two relative to `side`, the cells' mean width in pixels; the last in [0,1].
    """
    rows, columns = (np.arange(length, dtype=np.float32) / side + 1 for length in size)
    shape = int(rows[-1]) + 2, int(columns[-1]) + 2
    places = np.indices(shape, dtype=np.float32) + rng.random((2, *shape), dtype=np.float32)
    down, right = places.reshape(2, -1)
    cell = rows.astype(int)[:, None] * shape[1] + columns.astype(int)[None]
    first = np.full(size, 9, np.float32)
    second, nearest = first.copy(), cell
    for step in (i * shape[1] + j for i in (-1, 0, 1) for j in (-1, 0, 1)):
        other = cell + step
        distance = (down[other] - rows[:, None]) ** 2 + (right[other] - columns[None]) ** 2
        nearest = np.where(distance < first, other, nearest)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    number = rng.random(shape[0] * shape[1], dtype=np.float32)[nearest]
    first, second = np.sqrt(first), np.sqrt(second)
    return first, second - first, number


def strokes(stream: random.Random, size: Size) -> np.ndarray:
    """Grass, straw or fur: thousands of thin blades over each other."""
    rng = rng_of(stream)
    kind = stream.choice(("grass", "grass", "straw", "fur"))
    hue, saturation = {
        "grass": ((0.2, 0.36), (0.35, 0.8)),
        "straw": ((0.09, 0.15), (0.3, 0.6)),
        "fur": ((0.02, 0.12), (0.05, 0.6)),
    }[kind]
    colour = np.array(hsv(stream, hue, saturation, (0.5, 0.95)), np.float32)
    picture, draw = enlarged(np.full((*size, 3), 0.4, np.float32) * colour)
    height, width = (FINER * side for side in size)
    length, lean = stream.uniform(40, 110), stream.uniform(-0.8, 0.8)
    count = min(1600, int(2.5 * size[0] * size[1] / length))
    y = np.sort(rng.uniform(0, height + length, count))  # those in front last
    x = rng.uniform(-10, width + 10, count)
    tip = lean + rng.normal(0, 0.35, count)
    reach = length * rng.uniform(0.4, 1.3, count) * (0.4 + 0.8 * y / height)
    light = rng.uniform(0.3, 1.15, (count, 1)) * colour + rng.normal(0, 8, (count, 3))
    thick = 1 + (rng.random(count) * (0.8 + 4 * y / height)).astype(int)
    ends = np.stack([x, y, x + reach * np.sin(tip), y - reach * np.cos(tip)], 1).tolist()
    fills = light.clip(0, 255).astype(int).tolist()
    for end, fill, each in zip(ends, fills, thick.tolist(), strict=True):
        draw.line(end, tuple(fill), each)
    return reduced(picture)


def foliage(stream: random.Random, size: Size) -> np.ndarray:
    """Leaves over each other, those behind darker."""
    rng = rng_of(stream)
    colour = np.array(hsv(stream, (0.05, 0.4), (0.3, 0.85), (0.5, 0.95)), np.float32)
    picture, draw = enlarged(np.full((*size, 3), 0.12, np.float32) * colour)
    side = stream.uniform(6, 22)
    count = min(1200, int(14 * size[0] * size[1] / side**2))
    centre = rng.random((count, 2)) * FINER * np.array(size[::-1])
    turn, long = rng.uniform(0, 2 * math.pi, count), FINER * side * rng.uniform(0.4, 0.8, count)
    slim = rng.uniform(0.3, 0.6, count)
    along = np.array([-1, -0.4, 0.2, 1, 0.2, -0.4])
    across = np.array([0, 0.9, 0.8, 0, -0.8, -0.9])
    u, v = long[:, None] * along, (long * slim)[:, None] * across
    x = centre[:, :1] + u * np.cos(turn)[:, None] - v * np.sin(turn)[:, None]
    y = centre[:, 1:] + u * np.sin(turn)[:, None] + v * np.cos(turn)[:, None]
    leaves = np.stack([x, y], 2).reshape(count, -1).tolist()
    depth = np.linspace(0.3, 1, count)[:, None] * rng.uniform(0.7, 1.15, (count, 1))
    fills = (depth * colour + rng.normal(0, 9, (count, 3))).clip(0, 255).astype(int)
    veins = (fills * 0.75).astype(int).tolist()
    for leaf, fill, vein in zip(leaves, fills.tolist(), veins, strict=True):
        draw.polygon(leaf, tuple(fill))
        draw.line([*leaf[:2], *leaf[6:8]], tuple(vein), 1)
    return reduced(picture)


def gravel(stream: random.Random, size: Size) -> np.ndarray:
    """Pebbles, paving or cracked earth: rounded pieces with dark gaps."""
    rng = rng_of(stream)
    side = stream.uniform(4, 30)
    near, gap, own = cells(rng, size, side)
    round_ = 1.15 - stream.uniform(0.2, 0.7) * near
    grainy = 1 + stream.uniform(0.02, 0.1) * fractal(rng, size, stream.uniform(0.5, 1))
    light = (0.45 + stream.uniform(0.2, 0.6) * own) * round_ * grainy
    open_ = np.clip((gap - stream.uniform(0.03, 0.15)) * side * 0.7, stream.uniform(0.1, 0.5), 1)
    colour = hsv(stream, (0.02, 0.14), (0, 0.35), (0.7, 1))
    levels = tinted(light * open_, colour)
    return mixed(levels, 0.3 * (own * 7 % 1), tinted(light * open_, hsv(stream, (0, 1), (0, 0.3), (0.6, 1))))


def sand(stream: random.Random, size: Size) -> np.ndarray:
    """Grains and ripples."""
    rng = rng_of(stream)
    y, x = grid(size)
    turn, period = stream.uniform(-0.6, 0.6), stream.uniform(10, 60)
    phase = (y * math.cos(turn) + x * math.sin(turn)) / period * 2 * math.pi
    ripples = np.sin(phase + stream.uniform(0.5, 2.5) * fractal(rng, size, 2))
    sharp = np.abs(ripples) ** 0.6 * np.sign(ripples)
    grains = fractal(rng, size, stream.uniform(0.75, 1.05))
    light = 1 + stream.choice((0.0, stream.uniform(0.04, 0.25))) * sharp + stream.uniform(0.03, 0.1) * grains
    specks = rng.random(size, dtype=np.float32) < stream.uniform(0, 0.006)
    return tinted(light - 0.3 * specks, hsv(stream, (0.06, 0.13), (0.1, 0.45), (0.6, 0.9)))


def fabric(stream: random.Random, size: Size) -> np.ndarray:
    """Threads over and under each other, plain or with coloured stripes."""
    rng = rng_of(stream)
    y, x = grid(size)
    turn, period = stream.uniform(-0.5, 0.5), stream.uniform(3.2, 10)
    u = (x * math.cos(turn) + y * math.sin(turn)) / period + 900
    v = (y * math.cos(turn) - x * math.sin(turn)) / period + 900
    column, row = u.astype(int), v.astype(int)
    twill = stream.choice((2, 2, 3, 4))
    over = (column + row) % twill == 0
    profile = np.where(over, np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
    light = 1.1 - stream.uniform(0.5, 1.4) * profile**2 * 2
    uneven = rng.normal(1, stream.uniform(0.02, 0.12), (2, 2000)).astype(np.float32)
    light *= np.where(over, uneven[0][column % 2000], uneven[1][row % 2000])
    light *= 1 + 0.05 * fractal(rng, size, 0.7)
    colours = np.array([hsv(stream, (0, 1), (0, 0.8), (0.3, 0.95)) for _ in range(2)], np.float32)
    stripes = rng.integers(0, 2, (2, 200)) if stream.random() < 0.5 else np.zeros((2, 200), int)
    wide = stream.randint(3, 14)
    shown = np.where(over, stripes[0][column // wide % 200], stripes[1][row // wide % 200])
    return light[..., None] * colours[shown]


def wood(stream: random.Random, size: Size) -> np.ndarray:
    """Boards with long fibres and sharp gaps."""
    rng = rng_of(stream)
    fibres = fractal(rng, size, stream.uniform(0.7, 1.1), stretch=stream.uniform(8, 30))
    rings = np.sin(stream.uniform(2, 9) * fractal(rng, size, 2, stretch=6))
    light = 0.8 + stream.uniform(0.03, 0.12) * fibres + stream.uniform(0.02, 0.1) * rings
    _, x = grid(size)
    board = stream.uniform(25, 120)
    number = (x / board + 7).astype(int)
    light *= rng.uniform(0.75, 1.2, 99)[number % 99]
    gap = np.abs((x / board + 7) % 1 - 0.5) * board
    light *= 1 - 0.75 * within(board / 2 - stream.uniform(0.6, 1.6) - gap)
    levels = tinted(light, hsv(stream, (0.04, 0.11), (0.1, 0.65), (0.55, 1)))
    return levels if stream.random() < 0.5 else np.ascontiguousarray(np.rot90(_fitting(levels, size)))


def _fitting(levels: np.ndarray, size: Size) -> np.ndarray:
    """Levels (H,W,3) repeated or cut to (W,H,3), to be turned."""
    again = [math.ceil(want / have) for want, have in zip(size[::-1], size, strict=True)]
    return np.tile(levels, (*again, 1))[: size[1], : size[0]]


def rock(stream: random.Random, size: Size) -> np.ndarray:
    """Rough stone with sharp cracks."""
    rng = rng_of(stream)
    rough = fractal(rng, size, stream.uniform(0.6, 0.9))
    bent = fractal(rng, size, stream.uniform(1.4, 1.9), stretch=stream.choice((0.3, 1.0, 3.0)))
    lines = np.abs(bent - rng.normal()) * stream.uniform(15, 40)
    lit = np.gradient(bent, axis=0) + stream.uniform(-1, 1) * np.gradient(bent, axis=1)
    light = stream.uniform(0.5, 0.75) + stream.uniform(0.05, 0.13) * lit / lit.std()
    light += stream.uniform(0.02, 0.08) * rough - stream.uniform(0.2, 0.5) * within(lines - 1)
    return tinted(light.clip(0.15), hsv(stream, (0, 1), (0, 0.3), (0.5, 1)))


TEXTURES: dict[str, Callable[[random.Random, Size], np.ndarray]] = {
    "strokes": strokes,
    "foliage": foliage,
    "gravel": gravel,
    "sand": sand,
    "fabric": fabric,
    "wood": wood,
    "rock": rock,
}


def any_texture(stream: random.Random, size: Size) -> np.ndarray:
    """Levels of one of them."""
    return TEXTURES[stream.choice(list(TEXTURES))](stream, size)
