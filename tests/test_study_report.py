"""Statistics, tables, sentences and pictures of a study, on made-up scores with a known answer."""

import copy
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up_studies import ARMS, FRACTIONS, MEASURES, TASKS, study
from PIL import Image

from lwr.loading.priors import EMBEDDED
from training.publishing import about_pictures, content
from training.publishing.names import Names
from training.publishing.results import FOLDER, STUDY, Results
from training.publishing.results import NUMBER as SHOWN
from training.study import plots, report, tables, text
from training.study import statistics as stats
from training.study.sentences import recommendation, sentences
from training.study.statistics import BETTER, UNCLEAR, WORSE

EVERY = dict.fromkeys(ARMS, 0.0) | {
    "separate": 0.3, "no-prompt": -0.5, "embedding": 0.02, "lora-2": 0.1, "lora-4": 0.2, "lora-8": 0.25,
    "lora-16": 0.3, "lora-32": 0.3, "full": 0.25, "trained-on": 0.2, "random-unet": -0.3, "no-unet": -0.8,
    "no-unet-separate": 0.1, "pair-best": 0.4, "pair-worst": -0.2,
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.-])[-+]?\d+\.\d+(?![\w.])")


def changed(result: dict, arm: str, seed: str, measure: str, by: float) -> None:
    """Add to all scores of one run."""
    for scores in result["arms"][arm]["runs"][seed]["scores"].values():
        for task in scores.values():
            task[measure] = [value + by for value in task[measure]]


def intervals(values: np.ndarray) -> np.ndarray:
    """(study, 2) of many studies (study, photo) of one seed, by the weights that `interval` draws."""
    means = values @ stats._weights(1, values.shape[1])[1].T
    return np.percentile(means, (2.5, 97.5), axis=1).T


def test_an_arm_that_is_better_on_every_photo_has_no_width() -> None:
    result = study({"shared": 0.0, "separate": 0.5}, seeds=2, noise=0)
    one = stats.paired(result, "separate", "shared")
    assert (one.mean, one.low, one.high) == pytest.approx((0.5, 0.5, 0.5)) and one.verdict == BETTER
    assert (one.seeds, one.photos) == (2, 12)
    alone = stats.estimate(result, "separate")
    assert alone.high - alone.low > 0.2, "what makes a photo easy is in the mean of one arm"


def test_what_makes_a_photo_easy_cancels_by_pairing() -> None:
    result = study({"shared": 0.0, "separate": 0.1}, photos=48, noise=0.02)
    one = stats.paired(result, "separate", "shared")
    alone = stats.estimate(result, "separate")
    assert one.mean == pytest.approx(0.1, abs=0.01)
    assert one.high - one.low < 0.02 < 0.2 < alone.high - alone.low
    shuffled = copy.deepcopy(result)  # the same scores of other photos: no pairing left
    for task, scores in shuffled["arms"]["separate"]["runs"]["0"]["scores"]["1.0"].items():
        order = np.random.default_rng(len(task)).permutation(48)
        scores["psnr"] = np.array(scores["psnr"])[order].tolist()
    loose = stats.paired(shuffled, "separate", "shared")
    assert loose.mean == pytest.approx(one.mean) and loose.high - loose.low > 5 * (one.high - one.low)


def test_intervals_cover_the_truth_in_about_95_of_100_studies() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.3, 1.0, (400, 48))
    low, high = intervals(values).T
    assert (low[0], high[0]) == pytest.approx(stats.interval(values[:1])), "it is what `interval` does"
    covered = np.mean((low < 0.3) & (high > 0.3))
    assert 0.9 < covered < 0.985
    half = np.mean(high - low) / 2
    assert half == pytest.approx(1.96 / np.sqrt(48), rel=0.08)


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 0.1, (4, 48))
    low, high = stats.interval(noise)
    apart = np.array([[-0.5], [0.5], [-0.5], [0.5]])
    wide_low, wide_high = stats.interval(noise + apart)
    assert wide_high - wide_low > 5 * (high - low)
    assert wide_low < -0.25 and wide_high > 0.25
    result = study({"shared": 0.0, "separate": 0.2}, seeds=2, photos=48, noise=0.05)
    assert stats.paired(result, "separate", "shared").verdict == BETTER
    changed(result, "separate", "1", "psnr", -0.5)
    assert stats.paired(result, "separate", "shared").verdict == UNCLEAR
    assert stats.spread_of_seeds(result) == pytest.approx(0.5, abs=0.02)


def test_two_seeds_that_differ_more_than_photos_hold_the_truth_half_of_the_time() -> None:
    """As study.md warns."""
    of_seeds = np.random.default_rng(4).normal(0, 1, (300, 2))
    found = np.array([stats.interval(np.repeat(pair[:, None], 4, axis=1)) for pair in of_seeds])
    covered = np.mean((found[:, 0] < 0) & (found[:, 1] > 0))
    assert 0.42 < covered < 0.58 and "about half\n  of the time" in text.NOT_FOLLOWS


def test_photos_are_drawn_together_for_all_seeds_and_tasks() -> None:
    easy = np.random.default_rng(3).normal(0, 1, 48)
    one, two = stats.interval(easy[None]), stats.interval(np.stack([easy, easy, easy]))
    assert two == pytest.approx(one, abs=0.03), "more seeds of the same photos make no photo more certain"


def test_only_seeds_and_tasks_that_both_have_are_compared() -> None:
    result = study({"shared": 0.0, "separate": 0.0, "pair-best": 0.5}, {"shared": 3, "separate": 2}, noise=0)
    changed(result, "shared", "2", "psnr", 100)  # a seed that the others have not
    for scores in result["arms"]["separate"]["runs"]["0"]["scores"].values():
        scores["low-light"]["psnr"] = [0.0] * 12  # a task that the pair has not
    one = stats.paired(result, "pair-best", "separate")
    assert (one.mean, one.seeds) == (pytest.approx(0.5), 1)
    assert stats.paired(result, "shared", "separate", tasks=["deblur"]).seeds == 2
    assert stats.paired(result, "lora-4", "shared") is None
    del result["arms"]["separate"]["runs"]["0"]
    assert stats.paired(result, "pair-best", "separate") is None, "no seed in common"


@pytest.mark.parametrize("measure", MEASURES)
def test_a_verdict_knows_which_way_is_better(measure: str) -> None:
    result = study({"shared": 0.0, "separate": 0.0}, noise=0)
    up = WORSE if measure in ("lpips", "dists") else BETTER
    assert stats.paired(result, "separate", "shared", measure).verdict == UNCLEAR
    changed(result, "separate", "0", measure, 0.01)
    assert stats.paired(result, "separate", "shared", measure).verdict == up
    changed(result, "separate", "0", measure, -0.02)
    assert stats.paired(result, "separate", "shared", measure).verdict == ({BETTER, WORSE} - {up}).pop()


def test_one_photo_has_no_interval_and_no_verdict() -> None:
    result = study({"shared": 0.0, "separate": 3.0}, photos=1, noise=0)
    one = stats.paired(result, "separate", "shared")
    assert np.isnan(one.low) and one.verdict == UNCLEAR
    assert "one photo" in tables.judged(one) and "one photo" in sentences(result)[0]


@pytest.mark.parametrize(
    ("right", "wrong", "score"),
    [(0.1, 0.0, 1), (0.1, 0.1, 0), (0.1, 0.3, 0), (0.1, 0.025, 0.75), (0.0, 0.0, 0)],
)
def test_prompts_are_obeyed_if_wrong_ones_change_nothing(right: float, wrong: float, score: float) -> None:
    result = study({"shared": 0.0})
    matrix = result["arms"]["shared"]["runs"]["0"]["swap"]
    for damage, row in matrix.items():
        for asked, cell in row.items():
            cell["moved"] = [right if asked == damage else wrong] * 12
    assert stats.obedience(result, "shared") == pytest.approx(score)
    matrix["deblur"]["deblur"]["psnr"] = [value + 1.5 for value in result["inputs"]["deblur"]["psnr"]]
    assert stats.swap(result, "shared")["deblur"]["deblur"] == pytest.approx((1.5, right))
    del result["arms"]["shared"]["runs"]["0"]["swap"]
    assert stats.obedience(result, "shared") is None and stats.swap(result, "shared") == {}


def test_conflict_leaves_out_the_diagonal_and_parts_without_a_gradient() -> None:
    result = study({"shared": 0.0})
    matrix = np.full((7, 7), 0.2) + 0.8 * np.eye(7)
    matrix[0, 1] = matrix[1, 0] = -0.5
    result["cosines"]["0"]["1.0"]["unet"] = matrix.tolist()
    found = stats.conflict(result, "unet", "1.0")
    assert found.negative == pytest.approx(1 / 21) and found.mean == pytest.approx((20 * 0.2 - 0.5) / 21)
    result["cosines"]["0"]["1.0"]["unet"] = [[None] * 7 for _ in range(7)]
    assert stats.conflict(result, "unet", "1.0") is None
    result["cosines"] = {}
    assert stats.conflict(result, "unet") is None and "Gradients" not in text.study_md(result)


def test_the_order_of_arms_is_compared_at_two_fractions() -> None:
    effects = {"shared": 0.0, "separate": 0.5, "embedding": 1.0, "no-prompt": 1.5, "pair-best": 9.0}
    result = study(effects, noise=0)
    assert stats.order_kept(result) == (pytest.approx(1), 4)
    for arm in result["arms"]:
        scores = result["arms"][arm]["runs"]["0"]["scores"]
        for task in scores["0.5"]:
            given = np.array(result["inputs"][task]["psnr"])
            scores["0.5"][task]["psnr"] = (2 * given - np.array(scores["1.0"][task]["psnr"])).tolist()
    assert stats.order_kept(result) == (pytest.approx(-1), 4)
    assert stats.order_kept(study({"shared": 0.0, "separate": 0.5})) is None, (
        "two arms have no order to speak of"
    )


def plain_numbers(result: dict) -> set[str]:
    """Every number that may stand in a table, worked out from the JSON by plain Python; no intervals."""
    found: list[float] = []
    arms, inputs = result["arms"], result["inputs"]

    def mean(arm: str, measure: str, at: str, tasks: list[str], seeds: list[str], base: str = "") -> float:
        values = []
        for seed in seeds:
            for task in tasks:
                ours = arms[arm]["runs"][seed]["scores"][at][task][measure]
                theirs = (
                    arms[base]["runs"][seed]["scores"][at][task][measure] if base else inputs[task][measure]
                )
                values += [x - y for x, y in zip(ours, theirs, strict=True)]
        return sum(values) / len(values)

    for arm, about in arms.items():
        seeds, tasks = list(about["runs"]), about["tasks"]
        found += [about["stored_mb_per_task"], about["seconds_per_step"], about["trainable"] / 1e6]
        for measure in MEASURES:
            for at in FRACTIONS:
                if at in about["runs"]["0"]["scores"]:
                    found.append(mean(arm, measure, at, tasks, seeds))
            found += [mean(arm, measure, "1.0", [task], seeds) for task in tasks]
            for base in ("shared", "separate"):
                both = [seed for seed in seeds if seed in arms[base]["runs"]]
                groups = [tasks, *([task] for task in tasks)]
                found += [mean(arm, measure, "1.0", group, both, base) for group in groups]
    written = {f"{value:.{digits}f}" for value in found for digits in (2, 3, 4)}
    return {number.lstrip("-+") for number in written}


def without_intervals(table: str) -> str:
    return re.sub(r"\[[^\]]*\]", "", table)


def test_every_number_in_a_table_comes_from_the_scores() -> None:
    result = study(EVERY, {"shared": 2, "separate": 2, "lora-4": 2}, noise=0.3)
    known, everything = plain_numbers(result), list(result["arms"])
    shown = (
        tables.main_table(result, everything), tables.difference_table(result, everything),
        tables.short_table(result, everything), tables.task_table(result, everything, "psnr"),
        tables.curve_table(result, everything), tables.pair_table(result),
    )  # fmt: skip
    for table in shown:
        found = NUMBER.findall(without_intervals(table))
        assert len(found) > 10
        assert not {number for number in found if number.lstrip("+-") not in known}
    rows = [line.split(" | ")[0] for line in shown[0].splitlines()[2:]]
    assert rows == [f"| `{arm}`" for arm in everything]
    for arm in everything:
        one = stats.estimate(result, arm)
        assert f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]" in shown[0]


def test_the_tables_of_prompts_and_cosines_are_those_of_the_json() -> None:
    result = study(EVERY)
    row = tables.swap_table(result, "shared").splitlines()[2].split(" | ")
    cell = result["arms"]["shared"]["runs"]["0"]["swap"]["deblur"]["dehaze"]
    gain = np.mean(cell["psnr"]) - np.mean(result["inputs"]["deblur"]["psnr"])
    assert row[0] == "| deblur" and row[2] == f"{gain:+.2f} ({100 * np.mean(cell['moved']):.1f} %)"
    cosines = [result["cosines"]["0"][at]["encoder"][0][1] for at in FRACTIONS]
    assert f"| {tables.signed(float(np.mean(cosines)))} |" in tables.cosine_tables(result)[0].splitlines()[2]
    whole = tables.markdown(result)
    for arm in ("shared", "lora-4", "trained-on"):
        assert f"`{arm}`, obedience {stats.obedience(result, arm):.2f}" in whole


def test_what_was_not_measured_has_no_row() -> None:
    result = study({"shared": 0.0, "separate": 0.1, "lora-4": 0.2, "no-unet": 0.0})
    for arm in ("no-unet", "lora-4"):
        result["arms"][arm]["runs"] = {}
    result["arms"]["separate"]["runs"]["0"].pop("swap")
    whole, page = tables.markdown(result), text.study_md(result)
    assert "no-unet" not in whole and "lora-4" not in whole and "`separate`, obedience" not in whole
    assert "`separate`" in whole and "nan" not in whole + page
    row = next(line for line in whole.splitlines() if line.startswith("| `separate`") and "%" not in line)
    assert row.count("|") > 5
    lora = study({"shared": 0.0, "lora-4": 0.2})
    (line,) = [one for one in tables.curve_table(lora, ["lora-4"]).splitlines() if "`lora-4`" in one]
    assert "| shared at 50 % |  |  |" in line, "it has no scores before it branches off"


@pytest.mark.parametrize(("effect", "words"), [(0.5, "better than"), (-0.5, "worse than"), (0.0, "clearly")])
def test_sentences_are_right_whichever_way_the_numbers_fall(effect: float, words: str) -> None:
    zero = dict.fromkeys(("shared", "separate", "lora-2", "lora-4", "lora-32", "trained-on"), 0.0)
    zero |= dict.fromkeys(("random-unet", "no-unet", "no-unet-separate"), 0.0)
    helps = {"better than": "helps", "worse than": "harms", "clearly": "makes no clear difference"}[words]
    words = "not clearly different from" if words == "clearly" else words
    sharing = sentences(study(zero | {"separate": effect}))[0]
    assert f"one network a task is {words} one shared network" in sharing and "same by LPIPS" in sharing
    assert "7.10 MB on disk instead of 0.00" in sharing
    loras = sentences(study(zero | {"lora-4": effect}))[1]
    assert f"rank 4 on the frozen shared network is {words} training that network on" in loras
    assert "rank 32 is not clearly different from rank 2" in loras
    loras = sentences(study(zero | {"lora-32": effect}))[1]
    assert f"rank 32 is {words} rank 2" in loras and "3.20 MB a task instead of 0.20" in loras
    prior = sentences(study(zero | {"no-unet-separate": -effect}))[2]
    assert prior.startswith(f"The UNet {helps}: one network a task with it")
    assert "pretraining the UNet makes no clear difference" in prior
    prior = sentences(study(zero | {"random-unet": -effect}))[2]
    assert f"pretraining the UNet {helps}: a pretrained one, trained on" in prior
    for one in (sharing, loras, prior):
        assert one.endswith(".") and one.count(". ") == 0, "one sentence"


def test_sentences_hold_the_numbers_of_the_scores() -> None:
    result = study(EVERY, {"shared": 2, "separate": 2}, noise=0.2)
    one = stats.paired(result, "separate", "shared")
    assert (
        f"{one.mean:+.2f} dB PSNR (95 % interval {one.low:+.2f} to {one.high:+.2f}, 2 seeds)"
        in sentences(result)[0]
    )
    lpips = copy.deepcopy(result)
    for seed in ("0", "1"):
        changed(lpips, "separate", seed, "lpips", 0.3)
    assert "but by LPIPS it is worse" in sentences(lpips)[0]


def test_sentences_of_a_study_with_few_arms() -> None:
    assert all("not measured" in one for one in sentences(study({"shared": 0.0})))
    few = sentences(study({"shared": 0.0, "lora-8": 0.5, "no-unet": -1.0, "random-unet": 1.0}))
    assert "rank 8 on the frozen shared network is better than" in few[1] and "not compared" in few[1]
    assert "and so a prompt against the refiner alone" in few[2]
    assert "pretraining the UNet harms: a pretrained one, kept frozen" in few[2]
    alone = sentences(study({"lora-2": 0.5, "lora-4": 0.5}))
    assert "rank 4 on the frozen shared network gains" in alone[1]
    assert recommendation(study({"separate": 1.0})).startswith("No arm that shares one network")


def test_the_recommendation_says_whether_what_ships_agrees() -> None:
    good = study(
        {"shared": 0.0, "trained-on": 0.5, "lora-4": 0.5, "lora-16": 0.51, "separate": 9.0}, noise=0.2, seed=3
    )
    said = recommendation(good)
    best = max(("lora-4", "lora-16", "trained-on"), key=lambda arm: stats.estimate(good, arm).mean)
    assert f"`{best}` does best" in said and "The study agrees with it." in said
    assert "Not clearly behind it" in said and "separate" not in said
    bad = recommendation(study({"shared": 0.0, "trained-on": -0.5, "lora-4": -0.1}, noise=0.02))
    assert "`shared` does best" in bad and "clearly behind" in bad
    assert "does not agree: `trained-on` is worse than `shared` and `lora-4` is worse than `shared`." in bad
    zero = {"shared": 0.0, "trained-on": 0.1, "lora-4": 0.1}
    other = recommendation(study(zero | {"lora-16": 0.5, "lora-32": 0.9}, noise=0.02))
    assert "does not agree: `lora-16` and `lora-32` are better than `lora-4`." in other
    prompt = recommendation(study(zero | {"embedding": 0.5}, noise=0.02))
    assert "does not agree: `embedding` is better than `trained-on` and `lora-4`." in prompt
    even = recommendation(study({"shared": 0.0, "trained-on": 0.0, "lora-4": 0.0}, noise=0))
    assert "nothing against it, nor clearly for it" in even
    part = recommendation(study({"shared": 0.0, "lora-4": 0.5}))
    assert "`trained-on` was not measured" in part


def test_the_text_takes_two_pages_and_its_numbers_from_the_json() -> None:
    result = study(EVERY, {"shared": 2, "separate": 2, "trained-on": 2}, photos=48, noise=0.3)
    page = text.study_md(result)
    prose = [line for line in page.splitlines() if not line.startswith("|")]
    assert len(" ".join(prose).split()) < 1100
    for fact in ("96 pixels", "4,000 samples a task", "48 validation photos", result["command"], "8.3 hours"):
        assert fact in page
    for sentence in (*sentences(result), recommendation(result)):
        assert sentence in page
    other = copy.deepcopy(result)
    other["config"]["samples_per_task"] = 777
    assert "777 samples a task" in text.study_md(other)
    assert "No arm has a second seed" in text.study_md(study({"shared": 0.0, "separate": 0.1}))
    weak = study({"shared": 0.0, "separate": 0.0, "embedding": 0.1}, {"shared": 2, "separate": 2}, noise=0.01)
    changed(weak, "separate", "1", "psnr", 0.7)
    assert "one seed proves little about `embedding`" in text.study_md(weak)


def test_the_text_says_where_lpips_disagrees_and_which_rank_is_enough() -> None:
    arms = {"shared": 0.0, "separate": 0.3, "lora-2": 0.1, "lora-4": 0.5, "lora-8": 0.5}
    result = study(arms, noise=0)
    page = text.study_md(result)
    assert "**LPIPS** has the same verdict as PSNR on every arm." in page
    assert "Rank 4 gains most (+0.50 dB over `shared`), and every lower rank is clearly behind it." in page
    changed(result, "separate", "0", "lpips", 0.2)
    changed(result, "lora-8", "0", "psnr", 0.1)
    page = text.study_md(result)
    assert "the verdict differs for 1 of 4 arms: `separate` is worse than `shared` (+0.185)." in page
    assert "Rank 8 gains most (+0.60 dB over `shared`), and every lower rank is clearly behind it." in page
    even = text.ranks(
        study({"shared": 0.0, "lora-2": 0.5, "lora-4": 0.0, "lora-32": 0.55}, noise=0.5, seed=5)
    )
    assert "Rank 32 gains most" in even and even.endswith("and rank 2 is not clearly behind it.")
    assert text.ranks(study({"shared": 0.0, "lora-2": 0.5})) == "", "one rank is no comparison"


@pytest.mark.parametrize("few", [False, True])
def test_everything_is_written(tmp_path: Path, few: bool) -> None:
    effects = {"shared": 0.0, "separate": 0.1} if few else {arm: 30 * effect for arm, effect in EVERY.items()}
    result = study(effects, photos=3, noise=1.0)
    if few:
        result["cosines"] = {}
        for arm in result["arms"].values():
            arm["runs"]["0"].pop("swap")
    report.write(result, tmp_path)
    files = ["study-short.md", *(f"study-strategies.{end}" for end in ("json", "md", "png"))]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*files, "study.md", "study.webp"]
    assert json.loads((tmp_path / "study-strategies.json").read_text()) == result
    assert (tmp_path / "study-strategies.md").read_text() == tables.markdown(result)
    short = (tmp_path / "study-short.md").read_text()
    assert [f"- {sentence}" for sentence in sentences(result)] == short.splitlines()[2:]
    for name, most in (("study-strategies.png", 300_000), ("study.webp", 80_000)):
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert picture.width > 900 and len(set(picture.convert("L").getdata())) > 10
        assert (tmp_path / name).stat().st_size < most
    if not few:
        assert plots._points(result, "lora-4")[0][0] == 50, "its curve begins where it branched off"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results that are here, without a study."""
    folder = tmp_path / "results"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("study*"))
    return folder


def test_card_and_space_show_what_the_study_found(results: Path) -> None:
    names, made_up = Names("somebody", "v1.2.3"), study(EVERY, noise=0.2)
    (results / f"{STUDY}.json").write_text(json.dumps({"rows": {}}))
    files = content.prior(names, EMBEDDED, Results(results)).files
    assert "ways of training" not in files["README.md"].decode() and content.STUDY_PICTURE not in files
    assert not any("study" in name for name in content.space(names, EMBEDDED, Results(results)).files)
    (results / f"{STUDY}.json").write_text(json.dumps(made_up))
    assert "assets/study" not in content.prior(names, EMBEDDED, Results(results)).files["README.md"].decode()
    report.write_shown(made_up, results)
    measured = Results(results)
    files = content.prior(names, EMBEDDED, measured).files
    card = files["README.md"].decode()
    for sentence in (*sentences(made_up), recommendation(made_up)):
        assert sentence in card and set(SHOWN.findall(sentence)) <= measured.given
    assert f"]({content.STUDY_PICTURE})" in card and files[content.STUDY_PICTURE] == results / report.FIGURE
    shown = content.space(names, EMBEDDED, measured).files
    for name in (report.FIGURE, report.SHORT):
        assert shown[f"training/results/{name}"] == results / name


def test_pictures_of_the_page_are_made_with_the_study(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about_pictures, "Results", lambda: Results(results))
    monkeypatch.setattr(about_pictures.failures, "write", lambda restorer, folder: None)
    monkeypatch.setattr(about_pictures.Restorer, "load", lambda device: None)
    about_pictures.main([])
    assert not (results / report.FIGURE).exists(), "there is no study"
    (results / f"{STUDY}.json").write_text(json.dumps(study(EVERY)))
    about_pictures.main([])
    assert (results / report.SHORT).read_text() == report.short(study(EVERY))
    assert (results / report.FIGURE).stat().st_size > 5000


def test_texts_in_the_results_are_those_of_the_scores() -> None:
    result = json.loads((FOLDER / f"{STUDY}.json").read_text())
    there = (FOLDER / report.SHORT).exists()
    assert there == stats.is_study(result)
    if there:
        assert (FOLDER / report.SHORT).read_text() == report.short(result)
        assert (FOLDER / "study.md").read_text() == text.study_md(result)
        assert (FOLDER / f"{STUDY}.md").read_text() == tables.markdown(result)


def test_old_results_are_no_study() -> None:
    assert not stats.is_study({}) and not stats.is_study({"study": "strategies", "rows": {"shared": {}}})
    assert stats.is_study(study({"shared": 0.0})) and len(TASKS) == 7


def test_an_arm_that_was_stopped_is_compared_where_it_stopped(tmp_path: Path) -> None:
    result = study(EVERY, noise=0.02)
    (run,) = result["arms"]["lora-32"]["runs"].values()
    del run["scores"]["1.0"], run["swap"]
    base = result["arms"]["shared"]["runs"]["0"]["scores"]["0.75"]
    by_hand = [
        ours - theirs
        for task in base
        for ours, theirs in zip(run["scores"]["0.75"][task]["psnr"], base[task]["psnr"], strict=True)
    ]
    one = stats.paired(result, "lora-32", "shared")
    assert one.mean == pytest.approx(np.mean(by_hand)) and one.early == " at 75%"
    assert stats.paired(result, "lora-16", "shared").early == ""
    assert "| `lora-32` at 75% |" in tables.markdown(result)
    words = text.study_md(result)
    assert "`lora-32` was stopped at 75% of its samples" in words
    assert "lora-32" not in text.recommendation(result) and "rank 32" not in text.sentences(result)[1]
    plots.page(result, tmp_path / "page.png")
    plots.main_figure(result, tmp_path / "figure.webp")
