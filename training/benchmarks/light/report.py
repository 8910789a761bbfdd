"""The table light.md, the pictures, and README's paragraph, all made from the results file."""

from collections.abc import Iterable
from pathlib import Path

from training.benchmarks.light.costs import Row
from training.benchmarks.light.fronts import draw, lpips_gain
from training.benchmarks.light.results import GROUPS, Results
from training.benchmarks.record import RESULTS
from training.machine import ROOT

COMMAND = "python -m training.benchmarks.light"
README = ROOT / "README.md"
START = "**Light, in numbers**"  # of the paragraph in README
BEFORE = "## Limits"  # where it goes when it is not there
PUBLISHED = ("embedded", "embedded-lite")  # that the paragraph is about


def write_all(results: Results, path: Path) -> None:
    """NAME.md, NAME.png and NAME.webp beside NAME.json; where that is the published one, README too."""
    path.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    draw(results, path.with_suffix(".png"), beside=True)
    draw(results, path.with_suffix(".webp"), beside=False)
    if path.resolve() == RESULTS / "light.json" and "costs" in results.groups.get("variants", {}):
        README.write_text(placed(README.read_text(encoding="utf-8"), paragraph(results)), encoding="utf-8")
    print(markdown(results))


def markdown(results: Results) -> str:
    """The table, with what each group was measured on."""
    parts = ["# Light: cost against quality", f"`{COMMAND}`, [fronts](light.png)"]
    notes = [note for group in GROUPS for note in _notes(group, results.groups.get(group, {}))]
    parts.append("\n".join(f"- {note}" for note in [*notes, *EXPLAINED]))
    return "\n\n".join([*parts, table(results)]) + "\n"


EXPLAINED = (
    "seconds: median (least); MB: network + all adapters; parameters: network + one adapter, in millions",
    "GMACs: 10^9 multiply-adds of matrix products, convolutions and attention; operations are twice as many",
    "LPIPS lower by: than the damaged photo's, mean over the tasks that a network does; cells of a task are "
    "PSNR in dB / LPIPS; networks that enlarge make the photo from a quarter of its side",
)


def _notes(group: str, found: Row) -> Iterable[str]:
    if costs := found.get("costs"):
        versions = ", ".join(f"{name} {version}" for name, version in costs["versions"].items())
        yield (
            f"costs of {group}: {costs['date']} on {costs['machine']} at load {costs['load']}, "
            f"{costs['pixels']}x{costs['pixels']} pixels, {costs['task']}, {costs['rounds']} rounds; "
            f"{versions}"
        )
    for name, seconds in (found.get("costs") or {}).get("beside", {}).items():
        yield f"in the same turns as {group}: {name} {_seconds(seconds)}"
    if quality := found.get("quality"):
        yield (
            f"quality of {group}: {quality['date']}, {quality['limit']} validation photos, middle "
            f"{quality['side']}x{quality['side']}; LPIPS: {quality['measures'].get('lpips', 'not installed')}"
        )


def table(results: Results) -> str:
    """A network a row."""
    rows = [row for group in GROUPS for row in results.rows(group).values()]
    tasks = list(dict.fromkeys(task for row in rows for task in row.get("quality", {})))
    threads = sorted({count for row in rows for count in row.get("seconds", {})}, key=int)
    head = ["network", "parameters", "GMACs", "MB", *(f"s, {n} thread{'s' * (n != '1')}" for n in threads)]
    head += ["peak GB", "LPIPS lower by", *tasks]
    lines = [_line(head), "|---" * len(head) + "|"]
    shipped = next(iter(results.rows("variants").values()), {})
    if quality := shipped.get("quality"):
        cells = [_pair(quality.get(task, {}), "input") for task in tasks]
        lines.append(_line(["(the damaged photo)", *[""] * (len(head) - 1 - len(tasks)), *cells]))
    for group in GROUPS:
        for name, row in results.rows(group).items():
            lines.append(_line(_cells(name, row, threads, tasks)))
    return "\n".join(lines)


def _cells(name: str, row: Row, threads: list[str], tasks: list[str]) -> list[str]:
    if "left_out" in row:
        return [name, f"left out: {row['left_out']}", *[""] * (4 + len(threads) + len(tasks))]
    gain, sizes = lpips_gain(row), row.get("megabytes")
    return [
        name + _remark(row),
        _parameters(row.get("parameters")),
        f"{row['gmacs']:,.1f}" if "gmacs" in row else "",
        "" if sizes is None else _sum(sizes["network"], sizes["adapters"], ",.1f"),
        *(_seconds({n: row["seconds"][n]}) if n in row.get("seconds", {}) else "" for n in threads),
        f"{row['peak_gb']:.2f}" if "peak_gb" in row else "",
        "" if gain is None else f"{gain:.0%}",
        *(_task(row, task) for task in tasks),
    ]


def _remark(row: Row) -> str:
    if "load" in row:
        return f" ({row['date'][:10]}, load {row['load']})"
    if "random_weights" not in row:
        return ""
    return (
        " (random weights; its time is one step's, multiplied)" if row["multiplied"] else " (random weights)"
    )


def _task(row: Row, task: str) -> str:
    cell, ours = _pair(row.get("quality", {}).get(task, {}), "output"), row.get("ours", {}).get(task)
    if ours is None:
        return cell
    return f"{cell} ({ours['photos']} photos; ours there {_pair(ours, 'output')})"


def _pair(scores: Row, side: str) -> str:
    return (
        f"{scores[f'psnr_{side}']:.2f} / {scores[f'lpips_{side}']:.3f}" if f"lpips_{side}" in scores else ""
    )


def _parameters(counted: Row | None) -> str:
    return "" if counted is None else _sum(counted["network"] / 1e6, counted["adapter"] / 1e6, ",.2f") + " M"


def _sum(network: float, adapters: float, form: str) -> str:
    return format(network, form) + (f" + {format(adapters, form)}" if adapters else "")


def _seconds(by_threads: Row) -> str:
    return ", ".join(f"{one['median']:.2f} ({one['least']:.2f})" for one in by_threads.values())


def paragraph(results: Results) -> str:
    """README's: what light means, beside StableSR."""
    costs = results.groups["variants"]["costs"]
    rows = {name: row for name, row in results.rows("variants").items() if "seconds" in row}
    said = [_said(name, row) for name, row in rows.items() if name in PUBLISHED]
    said += _worse(rows)
    said += [_large(results, costs["machine"])] if results.rows("stable-diffusion") else []
    return (
        f"{START} (`{COMMAND}`, [table and fronts](training/results/light.md); {costs['machine']}, load "
        f"{costs['load']}; a pass is one over {costs['pixels']}x{costs['pixels']} pixels). {' '.join(said)}"
    )


def _worse(rows: dict[str, Row]) -> list[str]:
    """How much of the larger network's quality the smaller one lacks, where both were scored."""
    whole, small = (rows.get(name, {}).get("quality", {}) for name in PUBLISHED)
    apart = {
        task: small[task]["lpips_output"] / whole[task]["lpips_output"] - 1 for task in whole if task in small
    }
    if not apart:
        return []
    least, most = min(apart, key=apart.get), max(apart, key=apart.get)
    photos = max(row["photos"] for row in small.values())
    return [
        f"Its LPIPS is {apart[least]:+.1%} ({least}) to {apart[most]:+.1%} ({most}) against the larger "
        f"one's, on {photos} validation photos."
    ]


def _said(name: str, row: Row) -> str:
    """One of the shipped networks."""
    counted, sizes = row["parameters"], row["megabytes"]
    parts = ", ".join(f"{part} {count / 1e6:.2f}" for part, count in counted["parts"].items())
    return (
        f"`{name}`: {counted['network'] / 1e6:.1f} M parameters ({parts}), {counted['adapter'] / 1e6:.2f} M "
        f"an adapter; {sizes['network']:.1f} MB on disk, {sizes['adapters']:.1f} MB all adapters; "
        f"{2 * row['gmacs']:.1f} GFLOPs, {_in_words(row)} and {row['peak_gb']:.2f} GB a pass."
    )


def _large(results: Results, machine: str) -> str:
    """Stable Diffusion with StableSR, the fewest steps last, and where, if not on `machine`."""
    rows, made = results.rows("stable-diffusion"), results.groups["stable-diffusion"]["costs"]["machine"]
    where = "" if made == machine else f", on {made}"
    first = next(iter(rows.values()))
    passes = [
        f"{2 * row['gmacs'] / 1000:,.1f} TFLOPs and {_medians(row)[-1]:,.0f} s in {name.rpartition(', ')[2]}"
        for name, row in rows.items()
    ]
    return (
        f"StableSR at its true size, of random weights: {first['parameters']['network'] / 1e9:.2f} B "
        f"parameters, {first['megabytes']['network'] / 1000:.2f} GB; {', '.join(passes)} "
        f"(one step timed, more of them multiplied{where})."
    )


def _in_words(row: Row) -> str:
    counts = [f"{n} thread{'s' * (n != '1')}" for n in row["seconds"]]
    return ", ".join(f"{s:.2f} s with {n}" for s, n in zip(_medians(row), counts, strict=True))


def _medians(row: Row) -> list[float]:
    return [one["median"] for one in row["seconds"].values()]


def placed(readme: str, text: str) -> str:
    """README with this paragraph instead of its earlier one, or before its limits."""
    if START in readme:
        return "\n".join(text if line.startswith(START) else line for line in readme.split("\n"))
    return readme.replace(f"\n{BEFORE}\n", f"\n{text}\n\n{BEFORE}\n", 1)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
