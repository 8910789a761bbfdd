"""What people ask for beside the tasks.

`TOPICS` has no task yet: it is named in the answer,
never dropped silently. A topic goes as soon as there is a
task for it, whose own vocabulary takes over. `GENERAL` leaves it to the photo what is done: "enhance".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lwr.tasks.base import Vocabulary, phrases


@dataclass(frozen=True)
class Topic:
    """Something that people ask for."""

    name: str  # as it is named to people
    words: Vocabulary
    things: tuple[str, ...] = ()  # asked to go by "remove the people", but not by being named
    commands: tuple[str, ...] = ()  # verbs that are nouns too: "crop" asks where a sentence starts
    task: str = ""  # of the task that will cover it
    does: str = ""  # what is done about it, as a person reads it: "fill scratches and dust"


def topics(tasks: Collection[str]) -> list[Topic]:
    """The topics that none of these tasks covers."""
    return [topic for topic in TOPICS if topic.task not in tasks and topic.name not in tasks]


def _topic(
    name: str,
    faults: str = "",
    actions: str = "",
    qualities: str = "",
    things: str = "",
    commands: str = "",
    task: str = "",
) -> Topic:
    words = Vocabulary(phrases(faults), phrases(actions), phrases(qualities))
    return Topic(name, words, phrases(things), phrases(commands), task)


def _with_background(verbs: str) -> str:
    return ", ".join(
        f"{verb} {the} background" for verb in phrases(verbs) for the in ("the", "my", "this")
    ) + (", " + ", ".join(f"{verb} background" for verb in phrases(verbs)))


COLOURS = "colours"

TOPICS = (
    _topic("stains", "stain, stains, stained, blotches, blotchy, water stains, water spots", task="inpaint"),
    _topic(
        "creases",
        "crease, creases, creased, fold lines, fold marks, folds, fold line, crumpled, cracks, crack lines",
        task="inpaint",
    ),
    _topic(
        "damage",
        """damaged, damage, torn, ripped, rips, missing corner, missing corners, mould, mold, burn marks,
        holes""",
        "inpaint, outpaint, uncrop, fill in the missing, reconstruct the missing",
        task="inpaint",
    ),
    _topic(
        "darkening",
        """overexposed, over exposed, overexposure, over exposure, too bright, so bright, too light,
        too white, blown out, blown highlights, burnt out, burned out, burnt highlights, glaring""",
        "darken, darker, dimmer, less bright, less exposed, "
        + ", ".join(
            f"{less} {light}"
            for less in (
                "less",
                "reduce",
                "reduce the",
                "lower",
                "lower the",
                "decrease the",
                "turn down the",
            )
            for light in ("light", "brightness", "exposure")
        ),
    ),
    _topic("contrast", "low contrast, contrasty", "more contrast, less contrast", "contrast"),
    _topic(
        COLOURS,
        """color cast, colour cast, yellow cast, blue cast,
        oversaturated, undersaturated""",
        """more vivid, more vibrant, brighter colors, brighter colours, brighten the colors,
        brighten the colours, brighten colors, brighten colours, bright colors, bright colours, warmer,
        cooler, recolor, recolour, saturate, desaturate,
        more saturated, less saturated, color correct, colour correct, color grade, colour grade,
        color correction, colour correction, color grading, colour grading, more colorful, more colourful""",
        """vivid, vibrant, colorful, colourful, color, colour, colors, colours, colouring, coloring,
        saturation, white balance, tint, hue, hues,
        color balance, colour balance, skin tone, skin tones""",
    ),
    _topic(
        "colourising",
        "",
        """colorize, colourize, colorise, colourise, colorization, colourisation, colorisation, colourization,
        add color, add colour, add colors, add colours""",
        "in color, in colour, in full colour, in full color",
    ),
    _topic(
        "black and white",
        "",
        "to black and white, into black and white, to grayscale, to greyscale, to monochrome, to sepia",
        "black and white, grayscale, greyscale, monochrome, sepia",
    ),
    _topic("HDR", "", "to hdr", "hdr"),
    _topic("snow", "", "desnow", things="snow, snowflakes"),
    _topic(
        "watermark",
        "",
        "unwatermark",
        things="""watermark, watermarks, water mark, logo, logos, date stamp, datestamp, timestamp,
        time stamp,
        stamp, signature, copyright""",
        task="inpaint",
    ),
    _topic(
        "text",
        "",
        "translate",
        things="text, texts, letters, writing, words, caption, captions, subtitles, date",
        task="inpaint",
    ),
    _topic("red eyes", "red eye, red eyes, redeye, redeyes, red eye effect"),
    _topic(
        "background",
        "",
        _with_background("remove, change, replace, delete, erase, cut out, swap, blur, get rid of")
        + """, background removal, transparent background, background transparent, new background,
        white background, background white""",
    ),
    _topic("sky", "", "replace the sky, change the sky, swap the sky, sky replacement"),
    _topic("crop", "", "crop out, cropping", commands="crop, trim"),
    _topic(
        "rotation",
        "upside down, sideways, crooked, tilted, slanted, wrong way up",
        """straighten, 90 degrees, 180 degrees, 270 degrees, rotation, rotating, flipping, turn it around,
        turn it upright""",
        commands="rotate, flip, mirror",
    ),
    _topic(
        "smaller size",
        "",
        """shrink, downscale, downsize, downsample, make it smaller, make this smaller, smaller,
        smaller file, lighter file, file lighter,
        reduce the size, reduce its size, reduce size, reduce the file size, compress it, """
        + ", ".join(
            f"compress {the}{file}"
            for the in ("the ", "this ", "my ", "")
            for file in ("file", "photo", "picture", "image")
        )
        + ", compress this",
    ),
    _topic(
        "objects",
        "",
        "",
        things="""people, person, persons, man, men, woman, women, boy, girl, guy, guys, crowd, tourists,
        tourist,
        stranger, strangers, photobomber, bystanders, object, objects, car, cars, tree, trees, pole, poles,
        wire, wires, cables, power lines, fence, bird, birds, finger, clouds, stars, ex, clutter, trash,
        litter""",
        task="inpaint",
    ),
    _topic("shadows", things="shadow, shadows"),
    _topic("reflections", things="reflection, reflections, glare, lens flare, flare, flares"),
    _topic(
        "skin",
        "wrinkles, pimples, pimple, acne, blemishes, blemish, freckles",
        """soften the skin, soften skin, smooth the skin, smooth skin, smooth my skin, lighter skin,
        brighter skin, brighter smile, whiter teeth, """
        + ", ".join(
            f"{whiten} {the}{teeth}"
            for whiten in ("whiten", "brighten", "whiten and brighten")
            for the in ("", "the ", "my ", "her ", "his ")
            for teeth in ("teeth", "smile")
        ),
    ),
    _topic(
        "faces",
        "",
        """swap faces, swap the faces, face swap, fix the face, fix the faces, fix faces, fix my face,
        fix her face, fix face, enhance her face, enhance his face, enhance my face, improve her face,
        improve his face, improve my face, fix eyes, fix the eyes, fix her eyes, fix his eyes, fix my eyes,
        fix his face, restore the face, restore the faces, restore faces, face restoration, enhance the face,
        enhance the faces, enhance faces, enhance face, restore face, improve face, improve the face,
        improve the faces, improve faces""",
    ),
    _topic("smoothing", "", "smooth it, smooth this, smooth it out, smooth out"),
    _topic(
        "lens faults",
        """distortion, distorted, lens distortion, barrel distortion, fisheye, fish eye, vignette, vignetting,
        chromatic aberration, chromatic aberrations, purple fringing, fringing, moire, moiré, halftone""",
        "undistort, devignette, demoire, correct the perspective, fix the perspective",
    ),
    _topic(
        "style",
        "",
        """like a painting, into a painting, like a drawing, into a drawing, cartoonize, cartoonise,
        into a cartoon,
        like a cartoon, into an anime, anime style, cartoon style, into a sketch, like a sketch,
        like a watercolor,
        like a watercolour, like an oil painting, into an oil painting""",
        """realistic, photorealistic, photo realistic, hyperrealistic, hyper realistic, ultra realistic,
        cinematic, artistic style""",
    ),
)

# ---- general requests

_PICTURES = phrases(
    "photo, photos, picture, pictures, pic, pics, image, images, shot, scan, photograph, snapshot"
)
_BAD = phrases("bad, poor, awful, terrible, horrible, crappy, lousy, shitty, ugly")
_GRADES = phrases(
    """good, max, maximum, highest, super, premium, studio, professional, pro, ultra, perfect, excellent,
    amazing, dslr, cinema"""
)
_FLAWS = phrases("problems, issues, defects, flaws, imperfections, errors, faults, mistakes")
_LOOKS = phrases(
    """better, good, great, nice, nicer, new, perfect, professional, its best, as good as new, amazing,
    awesome, fantastic, excellent, stunning, gorgeous"""
)

_GENERAL_WORDS = Vocabulary(
    defects=phrases(
        """unclear, low quality, lowquality, lq, in bad shape, in bad condition, in poor condition,
        in terrible condition, degraded, deteriorated, messed up, unreadable, illegible, unusable"""
    )
    + tuple(f"{bad} {picture}" for bad in _BAD for picture in _PICTURES)
    + tuple(
        f"{it} {looks} {very}{bad}"
        for it in ("it", "this", *_PICTURES)
        for looks in ("is", "looks")
        for very in ("", "so ", "really ", "very ", "pretty ")
        for bad in _BAD
    )
    + tuple(f"{it} is not good" for it in ("it", "this", *_PICTURES))
    + tuple(
        f"{it} {looks} off" for it in ("it", "this", "something", *_PICTURES) for looks in ("is", "looks")
    )
    + tuple(f"{bad} quality" for bad in _BAD)
    + tuple(f"{it} sucks" for it in ("it", "this", "quality", *_PICTURES))
    + tuple(
        f"{it} {looks} {mess}"
        for it in ("it", "this", *_PICTURES)
        for looks in ("is", "looks", "looks like")
        for mess in ("trash", "garbage", "crap", "rubbish", "a mess")
    )
    + tuple(f"whatsapp {picture}" for picture in (*_PICTURES, "quality", "compression"))
    + phrases(
        """something is wrong, something wrong with it, wrong with it, wrong with this, wrong with the photo,
        wrong with the picture, can not see anything, can not see a thing, can barely see anything,
        can hardly see anything, can not see much, can not see the face, can not see the faces"""
    ),
    actions=phrases(
        """enhancement, restoration, high quality, best quality, top quality,
        hq, auto fix, autofix, auto enhance, auto restore, autoenhance, do your best,
        do your magic, work your magic, do what you can, whatever it needs, what it needs, whatever is needed,
        what the photo needs, whatever the photo needs, back to life, quality up, crystal clear,
        in good shape,
        photo repair, image repair, picture repair, upgrade, upgrade it, remaster, revive, beautify it,
        enhancer, restorer, improvement, improvements, needs work, needs some work, needs help, needs love,
        touch it up, touch this up, cleanup, new life, former glory, a boost, its best,
        do your thing, do something, do whatever you can, do all you can, do everything you can,
        do the best you can, do what is needed, do whatever is needed, do whatever it takes,
        do what you think is best, do what is best, as good as possible, as good as you can,
        you decide, you choose, surprise me, whatever you think, make magic, some magic, work magic,
        do magic"""
    )
    + tuple(
        f"{verb} {all_}{flaws}"
        for verb in ("fix", "remove", "repair", "correct", "get rid of")
        for all_ in ("", "all ", "the ", "all the ", "any ", "its ", "all its ", "every ")
        for flaws in (*_FLAWS, *(flaw.removesuffix("s") for flaw in _FLAWS))
    )
    + tuple(
        f"{verb} {the} {picture}"
        for verb in ("help", "save", "help me with", "perfect")
        for the in ("this", "my", "our")
        for picture in _PICTURES
    )
    + phrases("perfect it, perfect this"),
    qualities=phrases(
        """quality, clarity, auto, automatic, automatically, magic, best, the best, the best quality,
        readable, legible, usable, presentable, look like new, like new, see it clearly, see clearly,
        read the text, read it, read the writing, read this"""
    )
    + tuple(f"{grade} quality" for grade in _GRADES)
    + tuple(f"looks {bad}" for bad in _BAD)
    + tuple(f"look {good}" for good in _LOOKS)
    + tuple(f"{good} {picture}" for good in _LOOKS for picture in _PICTURES)
    + tuple(f"{it} {good}" for it in ("it", "this") for good in _LOOKS if good not in ("better", "its best")),
    idioms=phrases(
        "loss of quality, quality loss, loss in quality, losing quality, lose quality, quality time"
    ),
)

GENERAL = Topic("general", _GENERAL_WORDS)
