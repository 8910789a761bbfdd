"""embedded-lite, the smaller network in this package: by name, by `fast`, by itself where memory is short.

A stand-in takes its place, so that nothing here depends on what ships.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lite import NAME, make_lite
from PIL import Image
from served import picture
from test_cli import run

from lwr.images.files import save, to_pil, to_tensor
from lwr.images.metrics import psnr
from lwr.loading import priors
from lwr.loading.locate import ModelSource, locate
from lwr.loading.memory import SHORT, TooLittleError, measure, plan_first, plan_memory
from lwr.loading.priors import EMBEDDED, PriorError, bundled
from lwr.record import like, recorded
from lwr.request import Request, RestoreError
from lwr.restore import Restored, Restorer
from lwr.tasks import TASKS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stand-in, in the place of the bundle."""
    folder = make_lite(tmp_path_factory.mktemp("lite") / "embedded_lite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(priors.BUNDLES, NAME, folder)
        yield folder


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that came without it."""
    monkeypatch.setitem(priors.BUNDLES, NAME, tmp_path / "nothing here")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture(96, 64).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def pixels(restored: Restored) -> np.ndarray:
    return np.asarray(restored.image).astype(int)


def shown(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_it_is_a_prior_by_name_with_adapters_of_its_own(lite: Path, photo: Path, restorer: Restorer) -> None:
    assert bundled(NAME) == lite and bundled("embedded") == EMBEDDED and bundled("sd-turbo") is None
    small = Restorer.load(NAME, device="cpu")
    done = small(photo, task="dehaze")
    revision = small.network.prior.config.revision
    assert done.settings.prior == f"{NAME}@{revision}"
    assert done.settings.adapters == {"dehaze": f"{NAME}/dehaze@{revision}"}
    assert (pixels(done) != pixels(restorer(photo, task="dehaze"))).any()
    with pytest.raises(PriorError, match="has no revision 'v1'"):
        Restorer.load(NAME, revision="v1")


def test_a_copy_without_adapters_takes_those_that_shipped(lite: Path, tmp_path: Path, photo: Path) -> None:
    for source in lite.iterdir():
        if source.name != "adapters":
            (tmp_path / source.name).symlink_to(source)
    done = Restorer.load(tmp_path, device="cpu")(photo, task="derain")
    assert done.settings.adapters["derain"].startswith(f"{NAME}/derain@")


@pytest.mark.usefixtures("lite")
def test_the_command_line_takes_it_by_both_names(photo: Path) -> None:
    words = ("restore", photo, "--task", "deblur", "--json")
    by_name = run(*words, "--prior", NAME)
    by_word = run(*words, "--fast", "--overwrite")
    assert by_name.status == by_word.status == 0
    for done in (by_name, by_word):
        assert done.lines[0]["prior"].startswith(f"{NAME}@")
        assert done.lines[0]["adapters"]["deblur"].startswith(f"{NAME}/deblur@")


@pytest.mark.usefixtures("lite")
def test_fast_is_a_choice_for_each_photo_of_one_restorer(photo: Path, tmp_path: Path) -> None:
    restorer = Restorer.load("embedded", device="cpu")
    usual = restorer(photo, task="deblur")
    assert restorer._smaller is None, "it is loaded when it is first asked for"
    fast = restorer(photo, task="deblur", fast=True)
    assert usual.settings.prior.startswith("embedded@") and fast.settings.prior.startswith(f"{NAME}@")
    assert fast.settings.tile == usual.settings.tile and (pixels(fast) != pixels(usual)).any()
    assert restorer.resolve(task="deblur", fast=True) == fast.settings
    assert (pixels(restorer(photo, task="deblur")) == pixels(usual)).all(), "the other stays as it is"
    alone = Restorer.load(NAME, device="cpu")
    for request in (Request(task="deblur"), Request(task="deblur", fast=True)):
        assert (pixels(alone(photo, request)) == pixels(fast)).all()
    with pytest.raises(RestoreError, match="The option fast is 'yes'"):
        restorer(photo, fast="yes")


@pytest.mark.usefixtures("lite")
def test_results_bring_it_back(photo: Path) -> None:
    """However it was chosen; a prior that is named wins."""
    made = Restorer.load(NAME, device="cpu")(photo, task="deblur")
    result = save(made.loaded, photo.with_name("made.png"))
    assert recorded(result).request == Request(task="deblur", fast=True)
    assert like(result, Request()).fast and not like(result, Request(), prior="embedded").fast
    words = ("restore", photo, "--like", result, "--json", "--overwrite")
    again = run(*words)
    assert again.status == 0 and again.lines[0]["prior"] == made.settings.prior and not again.err
    assert (shown(photo.with_name("photo.restored.png")) == pixels(made)).all()
    other = run(*words, "--prior", "embedded")
    assert other.lines[0]["prior"].startswith("embedded@") and "pixels will differ" in other.err


@pytest.mark.usefixtures("without")
def test_a_program_that_came_without_it_says_so(photo: Path, restorer: Restorer) -> None:
    assert bundled(NAME) is None
    with pytest.raises(PriorError, match=f"This program came without {NAME}"):
        Restorer.load(NAME)
    with pytest.raises(RestoreError, match=f"needs {NAME}, which did not come with this program"):
        restorer(photo, fast=True)
    done = run("restore", photo, "--task", "deblur", "--fast")
    assert done.status == 2 and done.err.startswith(f"This program came without {NAME}")


@pytest.mark.usefixtures("lite")
def test_another_network_has_no_fast_one_beside_it(sd: Restorer, photo: Path) -> None:
    with pytest.raises(RestoreError, match="fast goes with the embedded network, and this is sd"):
        sd(photo, "enlarge it 2x", fast=True)


def _least(source: ModelSource, tile: int) -> float:
    """Gigabytes, rounded up to megabytes, at which the network fits with this tile."""
    for megabytes in range(600, 1600):
        try:
            if plan_memory(source, CPU, megabytes / 1000).tile >= tile:
                return megabytes / 1000
        except TooLittleError:
            pass
    raise AssertionError("needs more than 1.6 GB")


@pytest.mark.usefixtures("lite")
def test_it_is_chosen_by_itself_where_memory_is_short(photo: Path) -> None:
    full, small = locate("embedded"), locate(NAME)
    assert measure(small).pixel_bytes == measure(full).pixel_bytes, "tiles take as much memory"
    enough, lasting = _least(full, 512), _least(small, 512)
    assert lasting < enough < lasting + 0.03, "weights are all that it saves"
    # its own tile by the smaller one alone
    source, plan = plan_first(full, small, CPU, lasting)
    assert source.name == NAME and source.notes == (SHORT,) and plan.tile == 512
    # both have to take smaller tiles
    source, plan = plan_first(full, small, CPU, lasting - 0.05)
    assert source == full and plan.tile < 512
    assert plan_first(full, small, CPU, enough)[0] == full
    # one alone fits at all
    least = _least(small, 1)
    assert plan_first(full, small, CPU, least)[0].name == NAME
    with pytest.raises(TooLittleError, match=f"too little.*{NAME}"):
        plan_first(full, small, CPU, least - 0.05)
    with pytest.raises(TooLittleError, match="too little.*embedded"):
        plan_first(full, None, CPU, least)

    done = Restorer.load(device="cpu", memory_gb=lasting)(photo, task="deblur")
    assert done.settings.prior.startswith(f"{NAME}@") and SHORT in done.notes
    assert Restorer.load("embedded", device="cpu", memory_gb=lasting).tile < 512
    line = run("restore", photo, "--task", "deblur", "--memory", lasting, "--json", "--overwrite").lines[0]
    assert line["prior"].startswith(f"{NAME}@") and SHORT in line["notes"]
    adapter = EMBEDDED / "adapters" / "deblur"
    words = ("--memory", lasting, "--adapter", adapter, "--json", "--overwrite")
    line = run("restore", photo, "--task", "deblur", *words).lines[0]
    assert line["prior"].startswith("embedded@"), "an adapter is made for one network"


def test_a_damaged_network_is_not_taken_for_short_memory(lite: Path, tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="has no vae folder"):
        plan_first(ModelSource(tmp_path, "broken"), ModelSource(lite, NAME), CPU, 2)


def test_the_bundle_that_ships_takes_half_the_bytes_and_restores_as_the_larger_one_does() -> None:
    folder = EMBEDDED.with_name("embedded_lite")
    sizes = [sum(p.stat().st_size for p in one.rglob("*") if p.is_file()) for one in (folder, EMBEDDED)]
    assert sizes[0] < 0.5 * sizes[1] and max(p.stat().st_size for p in folder.rglob("*")) < 10e6
    small, large = Restorer.load(folder), Restorer.load(EMBEDDED)
    with Image.open(EMBEDDED.parent / "samples" / "small-cat.jpg") as image:
        clean = to_tensor(image.convert("RGB").crop((0, 0, 128, 128)))
    for task in TASKS.values():
        damaged, _ = task.degrade(clean, torch.Generator().manual_seed(5))
        photo = to_pil(damaged)
        found = [to_tensor(one(photo, task=task.name, scale=1).image) for one in (small, large)]
        before, after, whole = (psnr(x, clean).item() for x in (damaged.clamp(0, 1), *found))
        assert after > whole - 1.5, (task.name, before, after, whole)
        assert (found[0] - found[1]).abs().mean() < 0.05, task.name
