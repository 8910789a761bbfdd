"""One photo, one sentence: what the Restorer promises of pixels, settings, sizes, tiles and mistakes."""

import itertools
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lwr.images.files import ImageError, load, resize, to_pil
from lwr.loading.adapter import AdapterError, load_adapter
from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED, PriorError
from lwr.models.tiling import seam_lines, seam_score
from lwr.restore import OVERLAP, Request, Restored, RestoreError, Restorer
from lwr.tasks import TASKS

ASTRONAUT = Image.fromarray(skimage.data.astronaut())
FACE = ASTRONAUT.crop((180, 60, 276, 140))  # 96x80
HAZY = Image.open(EMBEDDED.parent / "samples" / "hazy-rocket.jpg").reduce(4)


@pytest.fixture(scope="module")
def tiled() -> Restorer:
    """With tiles of 256 pixels; a network belongs to one Restorer only, so it has its own."""
    return Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=256)


def pixels(restored: Restored) -> np.ndarray:
    return np.asarray(restored.image).astype(int)


def same(a: Restored, b: Restored) -> bool:
    return np.array_equal(pixels(a), pixels(b))


def test_a_single_step_adds_no_noise_and_several_follow_the_seed(restorer: Restorer) -> None:
    one, other = (restorer(FACE, "strongly fix the blur", fidelity=0, seed=seed) for seed in (3, 4))
    assert same(one, other)
    asked = {"prompt": "strongly fix the blur", "fidelity": 0, "steps": 2}
    one, again, other = (restorer(FACE, **asked, seed=seed) for seed in (3, 3, 4))
    assert same(one, again) and not same(one, other)


def test_settings_alone_reproduce_the_pixels(restorer: Restorer) -> None:
    first = restorer(HAZY, "slightly dehaze, then enlarge 1.5x", steps=2, fidelity=0.3, seed=11)
    s = first.settings
    restorer(FACE, "deblur")  # something else in between
    again = restorer(HAZY, task=s.tasks, scale=s.scale, steps=s.steps, fidelity=s.fidelity, seed=s.seed)
    assert same(first, again) and again.settings == s
    assert s.scale == 1.5 and s.steps == 2 and s.prior.startswith("embedded@")
    assert s.tasks == {"dehaze": s.tasks["dehaze"], "super-resolution": 1.0} and 0 < s.tasks["dehaze"] < 1


def test_defaults_come_from_prior_and_task(restorer: Restorer) -> None:
    config = restorer.network.prior.config
    for task, known in TASKS.items():
        settings = restorer.resolve(task=task)
        assert (settings.scale, settings.seed) == (known.default_scale, 0)
        own = known.default_fidelity
        fidelity = config.default_fidelity if own is None else own
        assert (settings.steps, settings.fidelity) == (config.default_steps, fidelity)
    both = restorer.resolve(task={"dehaze": 1.0, "deblur": 1.0})
    assert both.fidelity == config.default_fidelity < restorer.resolve(task="dehaze").fidelity == 1


def test_prompt_and_task_say_the_same(restorer: Restorer) -> None:
    assert same(restorer(FACE, "strongly remove the haze"), restorer(FACE, task="dehaze"))
    assert restorer.resolve("remove the haze", task="auto").tasks == {"dehaze": 1.0}
    assert restorer.resolve("remove the haze", task="deblur").tasks == {"deblur": 1.0}, (
        "an explicit task wins"
    )


def test_zero_strength_is_the_input_at_the_new_size(restorer: Restorer) -> None:
    kept = restorer(FACE, task={"deblur": 0})
    assert np.array_equal(pixels(kept), np.asarray(FACE))
    larger = restorer(FACE, task={"super-resolution": 0.0, "dehaze": 0.0}, scale=2)
    assert np.array_equal(pixels(larger), np.asarray(to_pil(resize(load(FACE).rgb, (160, 192)))))


def test_a_task_of_strength_0_beside_another_changes_nothing(restorer: Restorer) -> None:
    assert same(restorer(FACE, task={"deblur": 1, "dehaze": 0}), restorer(FACE, task="deblur"))


def test_every_size_comes_back_at_its_scale(restorer: Restorer, subtests: pytest.Subtests) -> None:
    for size, scale, expected in (
        ((96, 80), 1, (96, 80)),
        ((96, 80), 1.5, (144, 120)),
        ((41, 33), 4, (164, 132)),
        ((37, 53), 1, (37, 53)),
        ((1, 1), 1, (1, 1)),
        ((1, 1), 4, (4, 4)),
        ((7, 3000), 1, (7, 3000)),
        ((3000, 2), 1, (3000, 2)),
    ):
        with subtests.test(size=size, scale=scale, expected=expected):
            restored = restorer(FACE.resize(size), task="deblur", scale=scale)
            assert restored.image.size == expected and restored.image.mode == "RGB"
            assert restored.settings.scale == scale and restored.seconds > 0


def test_two_tasks_have_a_pass_each_and_both_count(restorer: Restorer) -> None:
    calls: list[tuple[int, int, str]] = []
    prompt = "strongly remove the haze and strongly fix the blur"
    both = restorer(FACE, prompt, progress=lambda *call: calls.append(call))
    assert both.tasks == {"dehaze": 1.0, "deblur": 1.0}
    shipped = {task: load_adapter(EMBEDDED / "adapters" / task).metadata.version for task in both.tasks}
    assert both.settings.adapters == {task: f"embedded/{task}@{shipped[task]}" for task in both.tasks}
    assert [what for _, _, what in calls] == 2 * ["encoding", "restoring", "decoding"]
    assert not same(both, restorer(FACE, task="dehaze")) and not same(both, restorer(FACE, task="deblur"))


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "nonsense": ({"prompt": "qwertz uiop 123 🤷"}, "you can ask me to"),
    "unknown task": ({"task": "dehase"}, "did you mean dehaze"),
    "unknown task, nothing near": ({"task": "xyz"}, "There is no task 'xyz': use deblur"),
    "empty task": ({"task": ""}, "There is no task ''"),
    "strength over 1": ({"task": {"deblur": 1.5}}, "strength of deblur is 1.5"),
    "strength NaN": ({"task": {"deblur": float("nan")}}, "strength of deblur is nan"),
    "scale 0": ({"task": "deblur", "scale": 0}, "scale is 0: use 1"),
    "scale 9": ({"task": "deblur", "scale": 9}, "to 4"),
    "scale NaN": ({"task": "deblur", "scale": float("nan")}, "scale is nan"),
    "scale infinite": ({"task": "deblur", "scale": float("inf")}, "scale is inf"),
    "scale in words": ({"task": "deblur", "scale": "twice"}, "scale is 'twice'"),
    "scale 0 in the prompt": ({"prompt": "enlarge 0x"}, "scale is 0"),
    "steps 0": ({"task": "deblur", "steps": 0}, "number of steps is 0"),
    "steps 1.5": ({"task": "deblur", "steps": 1.5}, "whole number"),
    "steps too many": ({"task": "deblur", "steps": 100_000}, "number of steps is 100000"),
    "fidelity 2": ({"task": "deblur", "fidelity": 2}, "fidelity is 2: use 0"),
    "fidelity NaN": ({"task": "deblur", "fidelity": float("nan")}, "fidelity is nan"),
    "seed negative": ({"task": "deblur", "seed": -1}, "seed is -1"),
    "seed fractional": ({"task": "deblur", "seed": 0.5}, "seed is 0.5"),
    "steps True": ({"task": "deblur", "steps": True}, "number of steps is True: use a whole number"),
    "strength 2": ({"task": "deblur", "strength": 2}, "strength is 2: use 0"),
    "strength no number": ({"strength": float("nan")}, "strength is nan"),
    "strength True": ({"strength": True}, "strength is True"),
    "auto in words": ({"auto": "yes"}, "auto is 'yes': use true or false"),
    "seed gigantic": ({"task": "deblur", "seed": 2**63}, "whole number from 0"),
}


def test_a_wrong_request_is_refused_in_one_sentence(restorer: Restorer, subtests: pytest.Subtests) -> None:
    for case in REFUSED:
        with subtests.test(case=case):
            request, reason = REFUSED[case]
            with pytest.raises(RestoreError) as caught:
                restorer(FACE, **request)
            assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_result_over_the_limit_is_refused_before_any_work(restorer: Restorer) -> None:
    with pytest.raises(RestoreError, match=r"324 megapixels, over the limit of 64: use a smaller scale"):
        restorer(Image.new("RGB", (4500, 4500)), task="super-resolution")


def test_transparency_is_kept_and_enlarged_with_the_photo(restorer: Restorer) -> None:
    photo = FACE.convert("RGBA")
    photo.putalpha(Image.linear_gradient("L").resize(FACE.size))
    same_size, twice = restorer(photo, task="deblur"), restorer(photo, task="deblur", scale=2)
    assert np.array_equal(np.asarray(same_size.image.getchannel("A")), np.asarray(photo.getchannel("A")))
    assert twice.image.mode == "RGBA" and twice.image.size == (192, 160)


def test_path_and_picture_give_the_same_and_notes_are_passed_on(restorer: Restorer, tmp_path: Path) -> None:
    path = tmp_path / "ein Foto äöü 日本.gif"
    FACE.save(path, save_all=True, append_images=[FACE.rotate(90, expand=True)])
    from_file = restorer(str(path), task="deblur")
    assert same(from_file, restorer(path, task="deblur"))
    assert any("the first of 2 frames" in note for note in from_file.notes)
    with pytest.raises(ImageError, match="does not exist"):
        restorer(tmp_path / "missing.png", task="deblur")


def test_progress_rises_one_by_one_to_the_total(restorer: Restorer) -> None:
    tiled = Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=160)
    # (encode + steps + decode) x tiles; where tones change, also the whole of a large photo, reduced. In a
    # single step each tile passes whole.
    for case, size, task, steps, total in (
        (restorer, (256, 160), "deblur", 2, 4),
        (tiled, (256, 160), "deblur", 2, 4 * 4),
        (restorer, (640, 512), "dehaze", 1, 3 + 1),
        (tiled, (256, 160), "dehaze", 1, 4),
    ):
        calls: list[tuple[int, int]] = []
        note = partial(lambda calls, done, total, _what: calls.append((done, total)), calls)
        case(ASTRONAUT.resize(size), task=task, steps=steps, progress=note)
        assert calls == [(done, total) for done in range(1, total + 1)]


def test_tiles_leave_no_seam_and_change_little(restorer: Restorer, tiled: Restorer) -> None:
    photo = ASTRONAUT.resize((448, 384), Image.Resampling.LANCZOS)
    pieces, whole = (r(photo, task="deblur", fidelity=1.0) for r in (tiled, restorer))
    assert pieces.settings.tile == 256 and pieces.image.size == photo.size
    assert np.abs(pixels(pieces) - pixels(whole)).mean() < 12, "of 255"
    lines = seam_lines(384, 448, 256, OVERLAP)
    score, natural = (float(seam_score(r.loaded.rgb, *lines)) for r in (pieces, whole))
    assert score / natural <= 1.05


@pytest.mark.parametrize("task", ["dehaze", "deblur"])
def test_tiles_of_one_sky_agree(task: str) -> None:
    """A hazy scene under an even sky: tiles alone would each decide how dense the haze is."""
    scene = np.full((600, 1000, 3), 205.0)
    scene[300:] = 150 + 60 * np.random.default_rng(0).random((300, 1000, 1))
    scene[300:, :400] -= 60  # the ground is darker on the left
    photo = Image.fromarray(scene.round().astype(np.uint8))
    usual, little = Restorer.load(device="cpu"), Restorer.load("embedded", device="cpu", memory_gb=1)
    whole = Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=1024)
    results = [np.asarray(one(photo, task=task).image, float) for one in (whole, usual, little)]
    assert len({one.tile for one in (whole, usual, little)}) == 3
    for result in results:
        sky = result[:160].mean((0, 2))
        assert np.ptp(sky) < 4, "of 255, up to the photo's borders"
        assert ((result - results[0]) ** 2).mean() < 4, "above 42 dB"


@pytest.mark.parametrize("side", [32, 100, 192])
def test_a_plain_picture_stays_plain_up_to_its_border(restorer: Restorer, side: int) -> None:
    for task, color in itertools.product(TASKS, [(128, 128, 128), (205, 180, 150)]):
        restored = pixels(restorer(Image.new("RGB", (side, side), color), task=task, scale=1))
        assert np.ptp(restored, axis=(0, 1)).max() <= 4, (task, color)


@pytest.mark.parametrize("task", ["deblur", "super-resolution"])
def test_white_stays_white_and_black_black(restorer: Restorer, task: str) -> None:
    picture = np.zeros((128, 256, 3), np.uint8)
    picture[:, 128:] = 255
    restored = pixels(restorer(Image.fromarray(picture), task=task, scale=1))
    assert restored[:, :64].max() <= 1 and restored[:, 192:].min() >= 254


def test_a_grey_photo_stays_grey(restorer: Restorer) -> None:
    photo = FACE.convert("L").convert("RGB")
    for task in TASKS:
        restored = np.asarray(restorer(photo, task=task).image)
        assert (restored == restored[..., :1]).all(), task


def test_memory_sets_the_tile_and_too_little_is_an_error(restorer: Restorer) -> None:
    assert Restorer.load(memory_gb=3).tile % restorer.network.multiple == 0
    assert Restorer.load(memory_gb=1).tile < Restorer.load(memory_gb=2).tile
    assert Restorer.load(memory_gb=float("inf")).tile == 2048
    for memory in (0, -1, 0.7, float("nan")):
        with pytest.raises(PriorError, match="too little: this needs at least"):
            Restorer.load(memory_gb=memory)
    for tile in (0, OVERLAP, 300):
        with pytest.raises(RestoreError, match="The tile is"):
            Restorer(restorer.network, restorer.folder, restorer.device, tile=tile)


@pytest.mark.parametrize("stop_at", ["encoding", "restoring", "decoding"])
def test_the_callback_can_stop_and_the_restorer_lives_on(restorer: Restorer, stop_at: str) -> None:
    def stop(_done: int, _total: int, what: str) -> None:
        if what == stop_at:
            raise KeyboardInterrupt(what)

    before = restorer(FACE, task="deblur")
    fidelity = 1.0 if stop_at == "restoring" else 0.2
    with pytest.raises(KeyboardInterrupt, match=stop_at):
        restorer(FACE, task="dehaze", fidelity=fidelity, progress=stop)
    assert same(restorer(FACE, task="deblur"), before)


def test_too_little_memory_for_one_photo_is_a_sentence(restorer: Restorer) -> None:
    def starve(_done: int, _total: int, _what: str) -> None:
        torch.empty(2**60)  # torch's own error

    with pytest.raises(RestoreError, match="Too little memory for 96x80 pixels"):
        restorer(FACE, task="deblur", progress=starve)


def test_threads_with_different_tasks_do_not_mix(restorer: Restorer) -> None:
    alone = {task: restorer(FACE, task=task, scale=1) for task in TASKS}
    found: list[tuple[str, Restored]] = []

    def work(tasks: list[str]) -> None:
        for task in tasks:
            found.append((task, restorer(FACE, task=task, scale=1)))

    orders = [list(TASKS), list(TASKS)[::-1]]
    threads = [threading.Thread(target=work, args=(order * 2,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * len(TASKS) and all(same(restored, alone[task]) for task, restored in found)


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _without_unet(folder: Path) -> Path:
    for source in EMBEDDED.iterdir():
        if source.name != "unet":
            (folder / source.name).symlink_to(source)
    return folder


def _broken_weights(folder: Path) -> Path:
    for source in EMBEDDED.iterdir():
        (folder / source.name).symlink_to(source)
    (folder / "encoder.safetensors").unlink()
    (folder / "encoder.safetensors").write_bytes(b"\0" * 100)
    return folder


BROKEN: dict[str, Callable[[Path], Path]] = {
    "has no vae folder": _empty_folder,
    "has no unet folder": _without_unet,
    "is damaged .*fetch it again": _broken_weights,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_model_is_one_sentence(tmp_path: Path, reason: str) -> None:
    with pytest.raises(PriorError, match=reason) as caught:
        Restorer.load(str(BROKEN[reason](tmp_path)))
    assert "\n" not in str(caught.value)


def test_unknown_model_and_device_are_named() -> None:
    with pytest.raises(PriorError, match="There is no model 'no such folder'"):
        Restorer.load("no such folder")
    with pytest.raises(RestoreError, match="The device 'abacus' is not here: use auto"):
        Restorer.load(device="abacus")


MISUSED = {
    "The prompt is None": {"prompt": None},
    "The task is \\['dehaze'\\]": {"task": ["dehaze"]},
    "no option 'fidelty': .*did you mean fidelity": {"prompt": "dehaze", "fidelty": 1},
    "There is a Request, and fidelity beside it": {"prompt": Request("dehaze"), "fidelity": 1},
    "There is no task 5": {"task": {5: 1}},
}


def test_what_a_program_gets_wrong_is_named(restorer: Restorer, subtests: pytest.Subtests) -> None:
    for reason, options in MISUSED.items():
        with subtests.test(reason), pytest.raises(RestoreError, match=reason):
            restorer.resolve(**options)
    with pytest.raises(AdapterError, match=r"'nope' is no adapter: give Adapter.open"):
        restorer.use("nope")
    with pytest.raises(PriorError, match="embedded is on this machine and has no revision 'v1'"):
        Restorer.load(revision="v1")
