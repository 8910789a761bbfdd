"""study.md: question, set-up, result, what does not follow, in two pages that a study's JSON fills in."""

from training.study.sentences import THAN, recommendation, sentences
from training.study.statistics import (
    BASE,
    DRAWS,
    FRACTIONS,
    LAST,
    MEASURES,
    PARTS,
    UNCLEAR,
    WORSE,
    Result,
    base_of,
    best_of,
    conflict,
    finished,
    fractions_of_cosines,
    last_of,
    lora_ranks,
    obedience,
    of_question,
    order_kept,
    paired,
    spread_of_seeds,
    swap,
    tasks_of,
)
from training.study.tables import HEADER, pair_table, short_table, signed

__all__ = ["recommendation", "sentences", "study_md"]
QUESTION = """Each kind of damage can have a network of its own, or all share one. (a) Do tasks do better
apart or together? (b) If they share a network, what does a LoRA a task buy, and how does its rank matter?
(c) Does the diffusion prior, a UNet trained to denoise latents, help at all?"""
NOT_FOLLOWS = """- The network is small and was trained briefly, with one learning rate for all arms, on
  crops with damages made by this repository. Nothing follows for Stable Diffusion, or for days of training.
- Samples a task are equal, not compute or steps: a network for one task takes a seventh of the shared one's.
- Intervals are rough with two seeds: where seeds differ much more than photos, they hold the truth about half
  of the time, not 95 %. With one seed they know nothing of chance in training.
- Without a UNet no prompt is heard, so `no-unet` lacks both at once. `no-unet-separate` needs none, but
  with the UNet go the time-aware encoder and its SFT layers: only the refiner is left to train. What that
  costs is not the worth of the pretraining.
- Prompts are obeyed here by the network alone; the product first asks its diagnosis what is there.
- LoRAs and `full` start from `shared` at 50 % of the samples, and say nothing about adapters on a network
  trained to the end.
- Intervals are not corrected for the number of comparisons."""
# Whose prompts were obeyed stands in the text; the tables have all arms.
OBEYING = ("separate", "no-prompt", BASE, "embedding", "lora-4", "trained-on")


def study_md(result: Result) -> str:
    """The text, about 900 words beside its tables."""
    parts = [HEADER, "# Separate or together, and does the prior help?"]
    parts += ["## Question", QUESTION]
    parts += ["## Set-up", setup(result)]
    parts += ["## Result", *(f"{number}. {text}" for number, text in enumerate(sentences(result), 1))]
    parts.append("![Differences between the arms, with intervals](study.webp)")
    parts.append(
        "Gains are output minus input, a mean over the tasks; less LPIPS is better. In brackets: 95 % "
        "intervals. Differences are paired by seed, task and photo; the "
        f"base is `{BASE}` where no other is named."
    )
    parts.append(short_table(result, of_question(result, "sharing", "prior")))
    parts += [text for text in (sharing(result), ranks(result), by_other_measure(result)) if text]
    parts += [text for text in (gradients(result), pair_table(result), caution(result)) if text]
    parts += ["**What ships.** " + recommendation(result)]
    parts += ["## What does not follow", NOT_FOLLOWS, "## Run it again", again(result)]
    return "\n\n".join(parts) + "\n"


def setup(result: Result) -> str:
    """What all arms have in common, as the JSON says."""
    config, arms = result["config"], result["arms"]
    seeds = sorted({len(arm["runs"]) for arm in arms.values()})
    seeds_of = f"{seeds[0]} to {seeds[-1]} seeds" if seeds[0] != seeds[-1] else f"{seeds[0]} seed(s)"
    known = {
        "crop": "crops of {} pixels",
        "batch": "{} a step",
        "lr": "learning rate {}",
        "samples_per_task": "{:,} samples a task",
        "prior_samples": "the prior before that {:,} samples",
        "training_photos": "{:,} training photos",
    }
    facts = [form.format(config[name]) for name, form in known.items() if config.get(name) is not None]
    crop = f" (crops of {config['validation_crop']} pixels)" if config.get("validation_crop") else ""
    names, measures = ", ".join(config["tasks"]), ", ".join(MEASURES.values())
    shares = ", ".join(f"{float(at):.0%}" for at in FRACTIONS)
    return (
        f"{len(arms)} arms have the same code, data and optimiser: {', '.join(facts)}. Tasks: {names}. "
        "All start with the shipped VAE and new weights around it; one batch in ten shows another task's "
        "damage, which must stay (a shared network without a prompt removes it). "
        f"Each arm was trained with {seeds_of} and measured at {shares} of its samples (those that branch "
        "off, from there on) on "
        f"{len(result['photos'])} validation photos{crop} never trained on, by {measures}. 95 % intervals "
        f"come from a hierarchical bootstrap ({DRAWS:,} draws of seeds, then of photos); a verdict is "
        "“better” or “worse” when the interval leaves out 0. Added up, the networks trained for "
        f"{result['minutes'] / 60:.1f} hours, on {devices(result)} ({result['date'][:10]})."
        + "".join(
            f" `{arm}` was stopped at {float(last):.0%} of its samples, and is compared with others there."
            for arm in arms
            if (last := last_of(result, arm)) != LAST
        )
    )


def devices(result: Result) -> str:
    """Where the arms were trained; which of them elsewhere than most."""
    of: dict[str, list[str]] = {}
    for name, arm in result["arms"].items():
        of.setdefault(arm.get("device", result["device"]), []).append(f"`{name}`")
    most, *others = sorted(of, key=lambda device: -len(of[device]))
    return most + "".join(f"; {', '.join(of[device])} on {device}" for device in others)


def sharing(result: Result) -> str:
    """What the prompt, an embedding and whole networks are worth, and whether prompts are obeyed."""
    found = []
    for arm, what in (
        ("no-prompt", "Without any prompt the shared network is"),
        ("embedding", "With a trained task embedding for a prompt the shared network is"),
        ("full", "One whole network a task that branches off at half is"),
    ):
        one = paired(result, arm, BASE)
        if one is not None:
            found.append(f"{what} {THAN[one.verdict]} `{BASE}` ({signed(one.mean)} dB).")
    obeyed = {arm: obedience(result, arm) for arm in OBEYING if arm in result["arms"]}
    obeyed = {arm: score for arm, score in obeyed.items() if score is not None}
    if obeyed:
        scores = ", ".join(f"`{arm}` {score:.2f}" for arm, score in obeyed.items())
        found.append(
            f"Prompts obeyed (1 = a wrong one changes nothing, 0 = as much as the right one or "
            f"more, a mean over damages): {scores}.{_misled(result)}"
        )
    return f"**Sharing.** {' '.join(found)}" if found else ""


def _misled(result: Result) -> str:
    """For how many damages a wrong prompt changes more than the right one."""
    rows = swap(result, BASE) if BASE in result["arms"] else {}
    more = [d for d, row in rows.items() if d in row and _wrong(row, d) > row[d][1]]
    if not more:
        return ""
    return (
        f" In `{BASE}` a wrong prompt changes more than the right one for {len(more)} of {len(rows)} damages."
    )


def _wrong(row: dict[str, tuple[float, float]], damage: str) -> float:
    moved = [change for asked, (_, change) in row.items() if asked != damage]
    return sum(moved) / len(moved) if moved else 0.0


def ranks(result: Result) -> str:
    """Which LoRA rank gains most, and which lower one is as good for all that is clear."""
    found = lora_ranks(result)
    if len(found) < 2:
        return ""
    best = int(best_of(result, finished(result, list(found.values()))).removeprefix("lora-"))
    one = paired(result, found[best], BASE)
    over = f" ({signed(one.mean)} dB over `{BASE}`{one.early})" if one else ""
    lower = {rank: paired(result, arm, found[best]) for rank, arm in found.items() if rank < best}
    even = [rank for rank, one in lower.items() if one and one.verdict != WORSE]
    if even:
        rest = f", and rank {min(even)} is not clearly behind it"
    else:
        rest = ", and every lower rank is clearly behind it" if lower and all(lower.values()) else ""
    apart = {rank: paired(result, arm, BASE) for rank, arm in found.items()}
    early = [rank for rank, one in apart.items() if one and one.early]
    stopped = "".join(f" {_stopped(result, found[rank], found[best])}" for rank in early)
    return f"**LoRA rank.** Rank {best} gains most{over}{rest}.{stopped}"


def _stopped(result: Result, arm: str, best: str) -> str:
    """An arm that did not see all of its samples, against the best of those that did, where it stopped."""
    one = paired(result, arm, best)
    return f"`{arm}` was stopped: against `{best}`{one.early} it is {signed(one.mean)} dB ({one.verdict})."


def by_other_measure(result: Result) -> str:
    """Where LPIPS has another verdict than PSNR."""
    found, compared = [], 0
    for arm in of_question(result, "sharing", "prior"):
        base = base_of(result, arm)
        psnr, lpips = (paired(result, arm, base, m) if base else None for m in ("psnr", "lpips"))
        if psnr is not None and lpips is not None:
            compared += 1
            if psnr.verdict != lpips.verdict:
                found.append(f"`{arm}` is {THAN[lpips.verdict]} `{base}` ({signed(lpips.mean, 3)})")
    if not compared:
        return ""
    if not found:
        return "**LPIPS** has the same verdict as PSNR on every arm."
    return f"**By LPIPS** the verdict differs for {len(found)} of {compared} arms: {'; '.join(found)}."


def gradients(result: Result) -> str:
    """How often the tasks' gradients conflict, and how the pairs chosen by them did."""
    there, found = fractions_of_cosines(result), []
    for part in PARTS:
        both = [conflict(result, part, at) for at in (there[0], there[-1])] if there else [None]
        if None not in both:
            first, last = both
            moved = f"{part} {signed(first.mean)} to {signed(last.mean)}"
            found.append(f"{moved} ({last.negative:.0%} of pairs below 0 at the end)")
    if not found:
        return ""
    text = f"**Gradients.** Mean cosine between two tasks' gradients, first to last: {'; '.join(found)}."
    for arm, which in (("pair-best", "agree most"), ("pair-worst", "agree least")):
        one = paired(result, arm, base_of(result, arm) or "") if arm in result["arms"] else None
        if one is not None:
            tasks = " and ".join(tasks_of(result, arm))
            text += f" One network for the two whose gradients {which} on seed 0 ({tasks}) is "
            text += f"{THAN[one.verdict]} two ({signed(one.mean)} dB)."
    return text


def caution(result: Result) -> str:
    """Whether the order of the arms still changes, and which verdicts chance in training could turn."""
    found = []
    kept = order_kept(result)
    if kept is not None:
        tau, arms = kept
        found.append(
            f"Between 50 % and 100 % of the samples the order of the {arms} arms measured at both "
            f"{'stays' if tau > 0.999 else 'still changes'}: Kendall's tau {tau:.2f} (1 = the same order)."
        )
    spread = spread_of_seeds(result)
    if spread is not None:
        weak = []
        for arm in of_question(result, "sharing", "prior", "pairs"):
            base = base_of(result, arm)
            one = paired(result, arm, base) if base else None
            if one and one.seeds == 1 and one.verdict != UNCLEAR and abs(one.mean) < spread:
                weak.append(f"`{arm}`")
        found.append(f"Another seed moved a difference from the base by up to {spread:.2f} dB")
        found[-1] += f"; so one seed proves little about {', '.join(weak)}." if weak else "."
    else:
        found.append("No arm has a second seed, so how far chance in training moves a row is unknown.")
    return f"**How sure.** {' '.join(found)}"


def again(result: Result) -> str:
    """The command, and where everything is."""
    name = f"study-{result['study']}"
    return (
        f"`{result['command']}` trains and measures everything from nothing, and goes on where it was "
        f"stopped. [All tables]({name}.md), [one page of plots]({name}.png), [every photo's "
        f"scores]({name}.json)."
    )
