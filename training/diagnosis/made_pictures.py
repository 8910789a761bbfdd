"""Good pictures that are no photographs: screens, drawings, flat scenes, plain areas, and all other kinds."""

import random
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from lwr.images.files import to_tensor
from training.diagnosis.artwork import art
from training.diagnosis.close_ups import bokeh, texture, wall
from training.diagnosis.scenes import night, sky, snow
from training.diagnosis.textures import Size

TEXT = (
    "the quick brown fox jumps over a lazy dog settings file edit view invoice total price model graph "
    "0123456789 I l 1 | www. Il1 (100%) 12:45 OK"
)
PAPERS = [(255, 255, 255), (250, 250, 250), (30, 30, 34), (245, 240, 230), (18, 18, 18), (240, 244, 250)]


def screen(stream: random.Random, size: Size) -> torch.Tensor:
    """Text in several sizes, boxes and lines on plain paper: (1,3,H,W) in [0,1]."""
    height, width = size
    paper = stream.choice(PAPERS)
    ink = (0, 0, 0) if sum(paper) > 380 else (235, 235, 235)
    picture = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(picture)
    for _ in range(stream.randint(0, 6)):
        left, top, colour = stream.randint(0, width), stream.randint(0, height), _colour(stream)
        right, bottom = left + stream.randint(5, 160), top + stream.randint(3, 80)
        stream.choice([draw.rectangle, draw.ellipse, draw.line])([left, top, right, bottom], fill=colour)
    top = stream.randint(0, 20)
    while top < height:
        font = ImageFont.load_default(stream.randint(8, 20 if stream.random() < 0.7 else 40))
        text = " ".join(stream.choices(TEXT.split(), k=stream.randint(1, 10)))
        draw.text((stream.randint(0, width // 3), top), text, _ink(stream, ink), font=font)
        top += stream.randint(10, 48)
    return to_tensor(picture)


def drawing(stream: random.Random, size: Size) -> torch.Tensor:
    """Lines, arcs and boxes, black on white, white on black or coloured: (1,3,H,W) in [0,1]."""
    height, width = size
    paper = stream.choice(["white", "ivory", "black", "lightyellow"])
    picture = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(picture)
    ink = (255, 255, 255) if paper == "black" else (0, 0, 0)
    for _ in range(stream.randint(5, 40)):
        left, top, colour = stream.randint(-50, width), stream.randint(-50, height), _ink(stream, ink)
        box = [left, top, left + stream.randint(5, 200), top + stream.randint(5, 200)]
        thick, kind = stream.randint(1, 4), stream.random()
        if kind < 0.4:
            draw.line([left, top, stream.randint(0, width), stream.randint(0, height)], colour, thick)
        elif kind < 0.7:
            draw.arc(box, stream.randint(0, 360), stream.randint(0, 360), colour, thick)
        else:
            draw.rectangle(box, outline=colour, fill=colour if stream.random() < 0.3 else None)
    return to_tensor(picture)


def scene(stream: random.Random, size: Size) -> torch.Tensor:
    """Flat shapes with hard edges under an even sky, grain here and there: (1,3,H,W) in [0,1]."""
    height, width = size
    noise = np.random.default_rng(stream.getrandbits(32))
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    top, bottom = (np.array([stream.uniform(20, 250) for _ in range(3)]) for _ in range(2))
    levels = top + (bottom - top) * y[..., None]
    for _ in range(stream.randint(1, 4)):
        horizon = stream.uniform(0.1, 0.8) + sum(
            stream.uniform(0, 0.08) * np.sin(stream.uniform(2, 30) * x + stream.uniform(0, 6))
            for _ in range(3)
        )
        colour = np.array([stream.uniform(5, 250) for _ in range(3)])
        ground = colour + noise.normal(0, stream.choice([0, 0, 4, 14]), (height, width, 1))
        levels = np.where((y > horizon)[..., None], ground + 40 * (y[..., None] - 0.5), levels)
    picture = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(stream.randint(0, 12)):
        left, top_, colour = stream.randint(0, width), stream.randint(0, height), _colour(stream)
        box = [left, top_, left + stream.randint(4, width // 2), top_ + stream.randint(4, height // 2)]
        stream.choice([draw.rectangle, draw.ellipse])(box, fill=colour)
    return to_tensor(picture)


def plain(stream: random.Random, size: Size) -> torch.Tensor:
    """One colour, or an even change from one to another, at times with grain: (1,3,H,W) in [0,1]."""
    noise = torch.Generator().manual_seed(stream.getrandbits(32))
    ends = torch.tensor([[stream.random() for _ in range(3)] for _ in range(2)])
    if stream.random() < 0.6:
        ends = ends.mean(1, keepdim=True).expand(2, 3)
    if stream.random() < 0.25:
        ends = torch.stack([torch.full((3,), float(stream.randint(0, 1))), ends[1]])
    if stream.random() < 0.5:
        ends = ends[:1].expand(2, 3)
    ramp = torch.linspace(0, 1, size[0])[:, None].expand(size)
    ramp = ramp if stream.random() < 0.5 else torch.linspace(0, 1, size[1]).expand(size)
    picture = torch.lerp(ends[0][:, None, None], ends[1][:, None, None], ramp)[None]
    grain = stream.uniform(0.2, 4) / 255 if stream.random() < 0.3 else 0.0
    picture = picture + grain * torch.randn(picture.shape, generator=noise)
    return picture.clamp(0, 1).mul(255).round().div(255)


KINDS: dict[str, Callable[[random.Random, Size], torch.Tensor]] = {
    "screen": screen,
    "drawing": drawing,
    "scene": scene,
    "plain": plain,
    "sky": sky,
    "snow": snow,
    "night": night,
    "wall": wall,
    "bokeh": bokeh,
    "texture": texture,
    "art": art,
}


def _colour(stream: random.Random) -> tuple[int, int, int]:
    return stream.randint(0, 255), stream.randint(0, 255), stream.randint(0, 255)


def _ink(stream: random.Random, ink: tuple[int, int, int]) -> tuple[int, int, int]:
    return ink if stream.random() < 0.75 else _colour(stream)
