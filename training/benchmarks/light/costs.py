"""What a pass costs: multiply-adds, seconds of passes that take turns, and memory of a process of its own."""

import os
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.benchmarks.record import fresh

Run = Callable[[int], object]  # threads -> one pass
Row = dict[str, Any]  # costs of one network, and "quality" by task, or "left_out": why


@dataclass(frozen=True)
class Contender:
    """One network of the table, and how to start its pass, also in a process of its own."""

    start: Callable[..., Run]
    settings: tuple[object, ...]
    known: Row = field(default_factory=dict)  # what is counted and not timed


def measured(contenders: Mapping[str, Contender], threads: Sequence[int], rounds: int) -> dict[str, Row]:
    """Costs of all; their passes take turns, because CPUs change their speed and neighbours come and go."""
    runs = {name: one.start(*one.settings) for name, one in contenders.items()}
    seconds = turns(runs, threads, rounds)
    runs.clear()
    rows = {name: one.known | {"seconds": seconds[name]} for name, one in contenders.items()}
    for name, one in contenders.items():
        rows[name]["peak_gb"] = round(fresh(peak_gb, one.start, max(threads), *one.settings), 2)
    return rows


def turns(runs: Mapping[str, Run], threads: Sequence[int], rounds: int) -> dict[str, dict[str, Row]]:
    """{name: {threads: {"median", "least"}}} in seconds, after a first pass of each."""
    found: dict[str, dict[str, Row]] = {name: {} for name in runs}
    for count in threads:
        print(f"{len(runs)} networks take turns, {count} threads, load {load()}.", flush=True)
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run(count)
                if turn:
                    taken[name].append(time.perf_counter() - start)
        for name, times in taken.items():
            found[name][str(count)] = summary(times)
    return found


def summary(times: Sequence[float]) -> Row:
    """Median and least of some seconds."""
    return {"median": round(statistics.median(times), 3), "least": round(min(times), 3)}


def load() -> float:
    """How many processes of this machine wanted a core in the last minute."""
    return round(os.getloadavg()[0], 2)


def peak_gb(start: Callable[..., Run], threads: int, *settings: object) -> float:
    """Most memory that this process has had once it has done a pass."""
    start(*settings)(threads)
    return resident_peak_gb()


def resident_peak_gb() -> float:
    """Most memory of this process so far; getrusage counts the process that started this one."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6


def multiply_adds(run: Callable[[], object]) -> int:
    """Of matrix products, convolutions and attention in a call, as torch's counter has them, halved."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
        return sdpa_flop_count(query, key, value)

    def convolution(x: Any, weight: Any, *_: object, out_shape: Any, **__: object) -> int:
        return conv_flop_count(x, weight, out_shape)  # as if it were done directly, whose result it gives

    left_out = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention,
        torch.ops.aten._nnpack_spatial_convolution: convolution,
        torch.ops.aten.mkldnn_convolution: convolution,
    }
    with FlopCounterMode(display=False, custom_mapping=left_out) as counter:
        run()
    return counter.get_total_flops() // 2
