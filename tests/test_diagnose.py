"""What is wrong with a photo is found, what is good stays, and "enhance" does what the photo needs."""

import random
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from lwr.degrade.jpeg import jpeg
from lwr.diagnose import diagnose, harmless, needed_scale
from lwr.fit import fit_to
from lwr.images import files
from lwr.images.pixels import resize
from lwr.loading.diagnosis import load_head
from lwr.loading.priors import EMBEDDED
from lwr.request import Request
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training import run
from training.data.photos import Photo, split_of
from training.diagnosis.damages import DAMAGES
from training.diagnosis.examples import make_examples
from training.diagnosis.fit import fit
from training.diagnosis.made_pictures import KINDS
from training.diagnosis.scores import scores

SAMPLES = EMBEDDED.parent / "samples"
EXAMPLES = EMBEDDED.parents[1] / "page" / "examples"
NAMED = ("dehaze", "deblur")


def to_image(picture: torch.Tensor) -> Image.Image:
    return files.to_pil(picture)


def screenshot() -> Image.Image:
    image = Image.new("RGB", (480, 320), "white")
    draw, top = ImageDraw.Draw(image), 6
    for size in range(9, 21):
        font = ImageFont.load_default(size)
        draw.text((10, top), f"{size} px: The quick brown fox, 0123456789 Il1|", "black", font)
        top += size + 2
    return image


def landscape(size: tuple[int, int], haze: float) -> Image.Image:
    """A made landscape with a house; `haze` is the optical thickness at the top."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / np.array(size)[::-1, None, None]
    rng = np.random.default_rng(1)
    sky = np.stack([110 + 60 * y, 150 + 60 * y, 215 + 20 * y], -1)
    ground = np.stack([60 + 60 * y, 100 + 30 * y, 40 + 20 * y], -1) + rng.normal(0, 14, (*y.shape, 1))
    levels = np.where((y > 0.55 + 0.08 * np.sin(6 * x))[..., None], ground, sky)
    house = (x > 0.12) & (x < 0.38) & (y > 0.48) & (y < 0.82)
    levels[house] = (178, 92, 66)
    levels[(x > 0.2) & (x < 0.25) & (y > 0.56) & (y < 0.68)] = (240, 230, 170)
    passes = np.exp(-haze * (1 - y))[..., None]
    return Image.fromarray((levels * passes + 210 * (1 - passes)).clip(0, 255).astype(np.uint8))


def sample(name: str) -> torch.Tensor:
    return files.load(SAMPLES / name).rgb


def noisy(good: torch.Tensor, sigma: float) -> torch.Tensor:
    noise = torch.randn(good.shape, generator=torch.Generator().manual_seed(0))
    return (good + sigma / 255 * noise).clamp(0, 1)


def veiled(thickness: float) -> torch.Tensor:
    """A clear photo under haze of this optical thickness at the top, a fifth of it at the bottom."""
    clear = files.load(EXAMPLES / "hazy-street.after.webp").rgb
    passes = torch.exp(-thickness * torch.linspace(1, 0.2, clear.shape[-2]))[:, None]
    return clear * passes + 0.85 * (1 - passes)


GOOD = {
    "text": screenshot(),
    "white": Image.new("RGB", (256, 200), "white"),
    "flat gray": Image.new("RGB", (256, 256), (119, 119, 119)),
    "black": Image.new("RGB", (64, 64)),
    "landscape": landscape((480, 360), 0),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("prompt", ["remove the haze", "fix the blur"])
def test_what_is_good_stays_as_it_is(restorer: Restorer, name: str, prompt: str) -> None:
    restored = restorer(GOOD[name], prompt)
    assert np.array_equal(restored.image, GOOD[name]) and set(restored.tasks.values()) == {0.0}
    assert any("the photo shows no need of it" in note for note in restored.notes)


@pytest.mark.parametrize(
    ("photo", "task"),
    [("hazy-rocket.jpg", "dehaze"), ("moving-clock.jpg", "deblur"), ("shaken-coffee.jpg", "deblur")],
)
def test_what_is_wrong_is_found(photo: str, task: str) -> None:
    found = diagnose(files.load(SAMPLES / photo).pixels)
    assert harmless({task: 1.0}, [task], found.severities) == ({task: 1.0}, ())
    assert task in found.tasks or found.severities["super-resolution"] > found.severities[task]


def test_haze_is_found_at_any_size() -> None:
    for size in ((213, 320), (1000, 1500)):
        severities = diagnose(resize(sample("hazy-rocket.jpg"), size)).severities
        assert harmless({"dehaze": 1.0}, ["dehaze"], severities)[0] == {"dehaze": 1.0}, size


def test_who_insists_gets_it(restorer: Restorer) -> None:
    text = GOOD["text"].crop((0, 0, 128, 96))
    for asked in ({"prompt": "strongly fix the blur"}, {"task": "deblur"}, {"task": {"deblur": 1.0}}):
        assert restorer(text, **asked).tasks == {"deblur": 1.0}, asked


def test_the_settings_of_a_photo_left_alone_reproduce_it(restorer: Restorer) -> None:
    first = restorer(GOOD["text"], "fix the blur and enlarge it 2x")
    assert first.tasks == {"deblur": 0.0, "super-resolution": 1.0}, "who enlarges has a reason"
    again = restorer(GOOD["text"], task=first.tasks, scale=first.settings.scale)
    assert np.array_equal(first.image, again.image)


def test_enhance_does_what_the_photo_needs(restorer: Restorer) -> None:
    hazy = Image.open(SAMPLES / "hazy-rocket.jpg").reduce(2)
    restored = restorer(hazy, "enhance")
    assert restored.tasks.get("dehaze", 0) > 0
    (said,) = [note for note in restored.notes if note.startswith("Found: ")]
    assert "hazy (0." in said and "Done: remove haze (strength " in said
    good = restorer(GOOD["text"], "enhance")
    assert np.array_equal(good.image, GOOD["text"]) and good.tasks == {}


def test_who_wants_a_large_photo_in_hd_gets_what_it_needs(restorer: Restorer) -> None:
    hazy = Image.open(SAMPLES / "hazy-rocket.jpg").reduce(2)
    restored = restorer(hazy, "make it 144p")
    assert restored.tasks == {"super-resolution": 0.0} | restorer(hazy, "enhance").tasks
    assert restored.image.size == hazy.size
    first, then = restored.notes[:2]
    assert "it is not enlarged" in first and "Done: remove haze (strength " in then
    assert "wish" not in restored.settings.json()
    assert restorer(hazy, "upscale to 144p").tasks == {"super-resolution": 0.0}, "who enlarges wants no more"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.booleans())
def test_any_photo_has_a_diagnosis(height: int, width: int, levels: bool) -> None:
    photo = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    severities = diagnose(photo if levels else photo / 255).severities
    assert set(severities) == set(load_head().defects)
    assert all(0 <= value <= 1 for value in severities.values())


def test_levels_and_floats_have_one_diagnosis() -> None:
    photo = files.load(SAMPLES / "shaken-coffee.jpg")
    assert diagnose(photo.pixels).severities == pytest.approx(diagnose(photo.rgb).severities, abs=1e-3)


@given(st.dictionaries(st.sampled_from(list(TASKS)), st.floats(0, 1)), st.data())
def test_harmless_touches_only_what_was_named(tasks: dict[str, float], data: st.DataObject) -> None:
    severities = {name: data.draw(st.floats(0, 1)) for name in load_head().defects}
    named = data.draw(st.lists(st.sampled_from(list(tasks)), unique=True)) if tasks else []
    kept, remarks = harmless(tasks, named, severities)
    assert set(kept) == set(tasks) and len(remarks) <= len(named)
    for name, strength in tasks.items():
        assert kept[name] <= strength + 0.005
        nothing, all_ = load_head().ramp[load_head().defects.index(name)].tolist()
        if name not in named or severities[name] >= all_:
            assert kept[name] == pytest.approx(strength, abs=0.006)
        elif max(severities.values()) <= nothing:
            assert kept[name] == 0


def test_who_wants_it_better_and_larger_gets_both() -> None:
    photo = torch.zeros(1, 3, 800, 900, dtype=torch.uint8)
    prior = Restorer.load().network.prior
    settings = fit_to(
        Request("enhance it and make it larger"),
        lambda request, chosen: request.resolve(prior, "p", 512, chosen),
        (800, 900),
        lambda: diagnose(photo),
    ).settings
    assert settings.scale == 4 and settings.tasks == {"super-resolution": 1.0}


def test_only_small_photos_are_enlarged_unasked() -> None:
    assert needed_scale({"super-resolution": 1.0}, (300, 400)) == 2
    assert needed_scale({"super-resolution": 1.0}, (3000, 4000)) == needed_scale({"deblur": 1.0}, (9, 9)) == 1


def test_made_pictures_are_what_they_are_called() -> None:
    for name, make in KINDS.items():
        picture = make(random.Random(3), (128, 160))
        assert picture.shape == (1, 3, 128, 160) and picture.min() >= 0 and picture.max() <= 1, name
        assert torch.equal(picture, make(random.Random(3), (128, 160)))


def training_photos() -> list[Photo]:
    rng = np.random.default_rng(0)
    pixels = [np.asarray(landscape((320, 320), 0)), rng.integers(0, 255, (300, 280, 3), dtype=np.uint8)]
    return [Photo(str(i), str(i), torch.tensor(each), clear=True) for i, each in enumerate(pixels)]


def test_the_diagnosis_can_be_trained_by_anybody() -> None:
    one, two = (make_examples(training_photos(), 40, 5, workers) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first.evidence.statistics, second.evidence.statistics)
        assert first.severities == second.severities and first.unknown == second.unknown
        assert all(0 <= severity <= 1 for severity in first.severities.values())
    assert all(max(each.severities[name] for each in one) > 0.1 for name in DAMAGES)
    head = fit(one, epochs=150)
    assert all(score.auc > 0.8 for score in scores(head, one).values()), "40 examples are learned by heart"
    further, new = (scores(fit(one, epochs=1, init=start), one) for start in (head, None))
    assert all(score.auc > 0.8 for score in further.values()), "what is trained on is not forgotten"
    assert not all(score.auc > 0.8 for score in new.values())


def test_the_command_trains_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    names: dict[str, str] = {}
    for number in range(200):
        names.setdefault(split_of(f"{number}.png"), f"{number}.png")
    for split in ("train", "validation"):
        landscape((300, 280), 0).save(photos / names[split])
    words = [
        "diagnose",
        "--photos",
        str(photos),
        "--out",
        str(tmp_path / "run"),
        "--count",
        "12",
        "--workers",
        "1",
    ]
    with patch("sys.argv", ["run", *words]):
        run.main()
    assert "dehaze: AUC" in capsys.readouterr().out
    head = load_head(tmp_path / "run")
    assert set(head.defects) == set(load_head().defects) and (tmp_path / "run" / "scores.json").exists()


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.07, 0.86, 0.67)])
def test_haze_is_found_in_a_photo_without_colour(tint: tuple[float, float, float]) -> None:
    gray = Image.open(SAMPLES / "hazy-rocket.jpg").convert("L")
    toned = Image.merge("RGB", [gray.point([min(255, int(v * share)) for v in range(256)]) for share in tint])
    assert harmless({"dehaze": 1.0}, ["dehaze"], diagnose(files.load(toned).pixels).severities)[0] == {
        "dehaze": 1.0
    }


@pytest.mark.parametrize("defect", ["denoise", "dejpeg"])
def test_noise_and_compression_are_found_and_only_where_they_are(defect: str) -> None:
    good = files.load(GOOD["landscape"]).rgb
    damaged = {
        "denoise": noisy(good, 30),
        "dejpeg": jpeg(good, [8]),
    }
    for name, picture in damaged.items():
        found = diagnose(picture)
        assert (defect in found.present) == (name == defect), (name, found.severities)
        assert set(found.tasks) <= set(TASKS)
    assert defect not in diagnose(good).present


@pytest.mark.parametrize("side", [400, 1])
@pytest.mark.parametrize("name", ["white", "flat gray", "black"])
def test_nothing_is_wrong_with_a_plain_area(name: str, side: int) -> None:
    found = diagnose(files.load(GOOD[name].resize((side, side))).pixels)
    assert not any(found.severities.values()) and not any(map_.any() for map_ in found.maps.values())


def test_maps_show_where_it_is() -> None:
    found = diagnose(veiled(2)).maps["dehaze"]
    third = len(found) // 3
    assert found[:third].mean() > found[-third:].mean() + 0.1, "haze grows towards the top"
    sharp = veiled(0)
    soft = F.avg_pool2d(F.pad(sharp, (6, 6, 6, 6), mode="replicate"), 13, 1)
    half = torch.cat([sharp[..., :256], soft[..., 256:]], -1)
    blur = diagnose(half).maps["deblur"]
    street = blur[12:]  # the sky has nothing to blur
    assert street[:, :14].mean() + 0.2 < street[:, -14:].mean()
    assert all(map_.min() >= 0 and map_.max() <= 1 for map_ in (found, blur))


def test_few_pixels_are_small_and_are_no_blur() -> None:
    photo = F.interpolate(files.load(GOOD["text"]).rgb, (80, 120), mode="area")
    found = diagnose(photo)
    assert found.severities["super-resolution"] > 0.9 and "small" in found.sentence
    assert found.seen["super-resolution"] < found.severities["super-resolution"]
    assert diagnose(files.load(GOOD["text"]).pixels).severities["super-resolution"] < 0.1


def test_severities_grow_with_the_damage() -> None:
    good = files.load(landscape((480, 360), 0)).rgb
    for defect, damaged in (
        ("denoise", [noisy(good, sigma) for sigma in (4, 16, 45)]),
        ("dejpeg", [jpeg(good, [quality]) for quality in (92, 45, 6)]),
        ("dehaze", [veiled(thickness) for thickness in (0, 0.5, 2)]),
    ):
        found = [diagnose(one).severities[defect] for one in damaged]
        assert found == sorted(found) and found[-1] > 0.5, (defect, found)
