"""What a study answers, in sentences: numbers and verdicts come from its scores, whichever way they fall."""

import numpy as np

from training.study.statistics import (
    BASE,
    BETTER,
    UNCLEAR,
    WORSE,
    Estimate,
    Result,
    best_of,
    estimate,
    finished,
    lora_ranks,
    of_question,
    paired,
)
from training.study.tables import signed

SHIPPED_RANK = 4  # of the adapters in lwr/embedded; their refiner's is 16
# What one adapter, and all networks together, may take on disk to be fetched on demand and run on two cores.
ADAPTER_MB, NETWORKS_MB = 2, 40
TRAINED_ON, LORA = "trained-on", f"lora-{SHIPPED_RANK}"  # the arms nearest to what ships
WHOLE_NETWORKS = ("separate", "full", "no-unet-separate")  # one a task, nothing is shared
THAN = {BETTER: "better than", WORSE: "worse than", UNCLEAR: "not clearly different from"}
HELPS = {BETTER: "helps", WORSE: "harms", UNCLEAR: "makes no clear difference"}


def sentences(result: Result) -> list[str]:
    """Three: separate or together; what LoRA rank buys; whether the prior helps."""
    return [sharing_sentence(result), rank_sentence(result), prior_sentence(result)]


def sharing_sentence(result: Result) -> str:
    """Separate networks against the shared one."""
    one = paired(result, "separate", BASE)
    if one is None:
        return "Whether one network a task is better than a shared one was not measured."
    return (
        f"With equal samples a task, one network a task is {THAN[one.verdict]} one shared network with a "
        f"prompt: {measured(one)}{by_lpips(result, 'separate', BASE, one)}; a further task takes "
        f"{_stored(result, 'separate')} MB on disk instead of {_stored(result, BASE)}."
    )


def rank_sentence(result: Result) -> str:
    """LoRAs on the frozen shared network against training it on, and the highest rank against the lowest."""
    ranks = lora_ranks(result)
    if not ranks:
        return "What LoRA rank buys was not measured."
    ended = finished(result, list(ranks.values()))
    ranks = {rank: arm for rank, arm in ranks.items() if arm in ended}
    rank = SHIPPED_RANK if SHIPPED_RANK in ranks else min(ranks)
    worth, gain = paired(result, ranks[rank], BASE), estimate(result, ranks[rank])
    subject = f"A LoRA a task of rank {rank} on the frozen shared network"
    if worth is None:
        begin = f"{subject} gains {measured(gain)}"
    else:
        begin = f"{subject} is {THAN[worth.verdict]} training that network on: {measured(worth)}"
        begin += by_lpips(result, ranks[rank], BASE, worth)
    low, high = ranks[min(ranks)], ranks[max(ranks)]
    apart = paired(result, high, low)
    if low == high or apart is None:
        return f"{begin}; ranks were not compared."
    return (
        f"{begin}; rank {max(ranks)} is {THAN[apart.verdict]} rank {min(ranks)}, {measured(apart)}, for "
        f"{_stored(result, high)} MB a task instead of {_stored(result, low)}."
    )


def prior_sentence(result: Result) -> str:
    """The UNet against none, and the pretrained one against a random one trained equally long."""
    parts = [part for part in (_of_unet(result), _of_pretraining(result)) if part]
    text = "; ".join(parts) or "whether the diffusion prior helps was not measured"
    return f"{text[0].upper()}{text[1:]}."


def _of_unet(result: Result) -> str:
    """With one network a task where possible: without a UNet a shared network hears no prompt."""
    for arm, without, who in (
        ("separate", "no-unet-separate", "one network a task with it and its encoder"),
        (BASE, "no-unet", "a shared network with it, its encoder and so a prompt"),
    ):
        one = paired(result, arm, without)
        if one is not None:
            also = by_lpips(result, arm, without, one)
            return f"the UNet {HELPS[one.verdict]}: {who} against the refiner alone, {measured(one)}{also}"
    return ""


def _of_pretraining(result: Result) -> str:
    """With the UNet trained on where possible, as the random one trains too."""
    for arm, does in ((TRAINED_ON, "trained on"), (BASE, "kept frozen")):
        one = paired(result, arm, "random-unet")
        if one is not None:
            also = by_lpips(result, arm, "random-unet", one)
            return (
                f"pretraining the UNet {HELPS[one.verdict]}: a pretrained one, {does}, against a random one "
                f"trained equally long, {measured(one)}{also}"
            )
    return ""


def recommendation(result: Result) -> str:
    """Which of the arms that share a network does best and at what cost, and whether what ships agrees."""
    arms = finished(
        result, [arm for arm in of_question(result, "sharing", "prior") if arm not in WHOLE_NETWORKS]
    )
    if not arms:
        return "No arm that shares one network was measured, so nothing follows for what ships."
    best = best_of(result, arms)
    against = {arm: paired(result, arm, best) for arm in arms if arm != best}
    close = [arm for arm, one in against.items() if one is not None and one.verdict != WORSE]
    text = f"Of the arms that share one network, `{best}` does best: {measured(estimate(result, best))}"
    text += f", for {_stored(result, best)} MB a task."
    sharper = {arm: paired(result, arm, best, "lpips") for arm in against}
    if found := [arm for arm, one in sharper.items() if one is not None and one.verdict == BETTER]:
        text += f" By LPIPS {_listed(found)} {'is' if len(found) == 1 else 'are'} better."
    if close:
        small = min((best, *close), key=lambda arm: result["arms"][arm]["stored_mb_per_task"])
        text += f" Not clearly behind it: {_listed(close)}."
        if small != best:
            text += f" The smallest of these on disk is `{small}`: {_stored(result, small)} MB a task."
    elif against:
        text += " The others that can be compared with it are clearly behind it."
    return f"{text} {_on_what_ships(result, best)}{_on_whole_networks(result)}"


def _on_what_ships(result: Result, best: str) -> str:
    ships = f"a shared network whose UNet trained on, with a LoRA of rank {SHIPPED_RANK} a task"
    ships += " (16 in the refiner)"
    there = {arm: paired(result, arm, BASE) for arm in (TRAINED_ON, LORA)}
    known = {arm: one for arm, one in there.items() if one is not None}
    if not known:
        return f"What ships is {ships}; the study has nothing like it."
    says = [f"`{arm}` is {THAN[one.verdict]} `{BASE}`, {measured(one)}" for arm, one in known.items()]
    against = [f"`{arm}` is {THAN[WORSE]} `{BASE}`" for arm, one in known.items() if one.verdict == WORSE]
    ranks = [arm for arm in finished(result, list(lora_ranks(result).values())) if arm != LORA]
    higher = [arm for arm in ranks if LORA in known and _better(result, arm, LORA)]
    if higher:
        against.append(f"{_listed(higher)} {'is' if len(higher) == 1 else 'are'} {THAN[BETTER]} `{LORA}`")
    if best not in (*known, *ranks, BASE) and all(_better(result, best, arm) for arm in known):
        against.append(f"`{best}` is {THAN[BETTER]} {_listed(list(known))}")
    tested = (
        "" if len(known) == 2 else f" `{next(arm for arm in there if arm not in known)}` was not measured."
    )
    if against:
        verdict = f"The study does not agree: {' and '.join(against)}.{_too_large(result, higher)}"
    else:
        clear = [one for one in known.values() if one.verdict == BETTER]
        verdict = (
            "The study agrees with it." if clear else "The study has nothing against it, nor clearly for it."
        )
    return (
        f"What ships is {ships}. In the study {'; '.join(says)}.{tested} {verdict} "
        "No arm of it has both at once."
    )


def _too_large(result: Result, ranks: list[str]) -> str:
    """Why a better rank does not ship, where its size is the reason."""
    sizes = {arm: result["arms"][arm]["stored_mb_per_task"] for arm in ranks}
    large = [f"`{arm}` takes {size:.1f} MB a task" for arm, size in sizes.items() if size > ADAPTER_MB]
    if not large:
        return ""
    return f" Not shipped because an adapter may take {ADAPTER_MB} MB: {', '.join(large)}."


def _on_whole_networks(result: Result) -> str:
    """Why one network a task does not ship where it does better than the nearest arm to what ships."""
    nearest = TRAINED_ON if TRAINED_ON in result["arms"] else BASE
    one = paired(result, "separate", nearest)
    if one is None or one.verdict != BETTER:
        return ""
    arm = result["arms"]["separate"]
    size = arm["stored_mb_per_task"]
    whole = f"{size * len(arm['tasks']):.0f} MB beside the prior (limit for everything: {NETWORKS_MB} MB)"
    return (
        f" One network a task is ahead of `{nearest}` by {signed(one.mean)} dB ({signed(one.low)} to "
        f"{signed(one.high)}); it does not ship, as all would take {whole}."
    )


def measured(one: Estimate) -> str:
    """A mean with its interval: "+0.32 dB PSNR (95 % interval +0.20 to +0.44, 2 seeds)"."""
    if one.measure == "psnr":
        digits, unit = 2, " dB PSNR"
    else:
        digits, unit = 4, f" {one.measure.upper()}"
    seeds = "1 seed" if one.seeds == 1 else f"{one.seeds} seeds"
    seeds += f",{one.early} of the samples" if one.early else ""
    limits = f"95 % interval {signed(one.low, digits)} to {signed(one.high, digits)}, {seeds}"
    return f"{signed(one.mean, digits)}{unit} ({'one photo' if np.isnan(one.low) else limits})"


def by_lpips(result: Result, arm: str, base: str, psnr: Estimate) -> str:
    """Whether LPIPS has the same verdict, as a clause."""
    one = paired(result, arm, base, "lpips")
    if one is None:
        return ""
    if one.verdict == psnr.verdict:
        return ", and the same by LPIPS"
    return f", but by LPIPS {one.verdict if one.verdict == UNCLEAR else f'it is {one.verdict}'}"


def _stored(result: Result, arm: str) -> str:
    return f"{result['arms'][arm]['stored_mb_per_task']:.2f}"


def _better(result: Result, arm: str, other: str) -> bool:
    one = paired(result, arm, other)
    return one is not None and one.verdict == BETTER


def _listed(arms: list[str]) -> str:
    names = [f"`{arm}`" for arm in arms]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
