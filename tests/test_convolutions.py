"""The quicker convolutions give what torch's own give, only in inference, and threads share them rightly."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

from lwr.loading.load import load_network
from lwr.models import convolutions, parallel
from lwr.models.convolutions import conv2d, quicken
from lwr.models.parallel import in_order
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training.benchmarks import convolutions as benchmark

ROOT = Path(__file__).parents[1]
NNPACK = "aten::_nnpack_spatial_convolution"
quick_here = pytest.mark.skipif(
    not convolutions._is_available(), reason="only with AVX2 and without AVX-512; elsewhere nothing changes"
)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def calls_of_nnpack(run: object) -> int:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        run()
    return sum(event.count for event in found.key_averages() if event.key == NNPACK)


@quick_here
@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([(4, 64), (48, 48), (64, 64), (32, 96)]),
    size=st.tuples(st.integers(33, 90), st.integers(33, 90)),
    side=st.sampled_from([3, 5, 8, 15]),
    mode=st.sampled_from(["constant", "reflect", "replicate"]),
    pads=st.lists(st.integers(0, 7), min_size=4, max_size=4),
    number=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 99),
)
def test_it_is_the_same_convolution(
    batch: int,
    channels: tuple[int, int],
    size: tuple[int, int],
    side: int,
    mode: str,
    pads: list[int],
    number: int,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    into, out = channels
    x = torch.randn(batch, into, *size, generator=generator)
    weight = torch.randn(out, into, side, side, generator=generator) / (into * side * side) ** 0.5
    bias = torch.randn(out, generator=generator) if seed % 2 else None
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with torch.inference_mode():
            wanted = F.conv2d(F.pad(x, pads, mode=mode), weight, bias)
            found = conv2d(x, weight, bias, pads, mode)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)  # sums of about 1


@quick_here
def test_the_embedded_pass_takes_it_and_hardly_a_bit_changes(threads: int) -> None:
    network = load_network()
    photo = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    instruction = {TASKS["deblur"].instruction: 1.0}

    def restore() -> torch.Tensor:
        return network.restore(photo, instruction, torch.zeros, fidelity=0.6)[0]

    with torch.no_grad():
        assert calls_of_nnpack(restore) == 0
        direct = restore()
    with torch.inference_mode():
        assert calls_of_nnpack(restore) > 20 or threads > 1  # helpers' calls are not profiled
        quick = restore()
    assert (quick - direct).abs().max() < 0.02 / 255


@quick_here
def test_training_and_exports_are_left_alone() -> None:
    layer = nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect")
    x = torch.randn(1, 64, 64, 64, requires_grad=True)
    wanted = layer(x).detach()
    quicken(layer)
    assert calls_of_nnpack(lambda: layer(x)) == 0
    assert torch.equal(layer(x), wanted)
    layer(x).sum().backward()
    with torch.inference_mode():
        assert calls_of_nnpack(lambda: layer(x.detach())) == (1 if torch.get_num_threads() == 1 else 0)


def test_circular_strided_and_grouped_layers_stay_as_they_are() -> None:
    x = torch.randn(1, 64, 64, 64)
    for extra in ({"padding_mode": "circular"}, {"stride": 2}, {"groups": 2}, {"dilation": 2}):
        layer = nn.Conv2d(64, 64, 3, padding=1, **extra)
        wanted = layer(x)
        quicken(layer)
        with torch.inference_mode():
            assert torch.equal(layer(x), wanted), extra


@quick_here
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_nnpack_makes_no_threads_of_its_own() -> None:
    code = """
import os, torch
from lwr.models.convolutions import conv2d
torch.set_num_threads(2)
x, weight = torch.randn(1, 64, 64, 64), torch.randn(64, 64, 3, 3)
torch.nn.functional.silu(x)
before = len(os.listdir("/proc/self/task"))
with torch.inference_mode():
    conv2d(x, weight)
print(before, len(os.listdir("/proc/self/task")), torch.get_num_threads())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after, torch_threads = map(int, done.stdout.split())
    assert (after - before, torch_threads) == (2, 2)  # the helpers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_helpers_of_its_own() -> None:
    code = """
import os, torch
from lwr.models.parallel import in_order
torch.set_num_threads(2)
assert list(in_order(lambda n: n + 1, range(5), 2)) == [1, 2, 3, 4, 5]
child = os.fork()
if not child:
    os._exit(0 if list(in_order(lambda n: n + 1, range(5), 2)) == [1, 2, 3, 4, 5] else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@quick_here
def test_threads_that_start_later_have_as_many_as_before() -> None:
    code = """
import threading, torch
from lwr.models.convolutions import conv2d
from lwr.models.parallel import compute_alone
torch.set_num_threads(2)
found = []
def first():
    compute_alone(2)
    with torch.inference_mode():
        conv2d(torch.randn(1, 64, 64, 64), torch.randn(64, 64, 3, 3))
for work in (first, lambda: found.append(torch.get_num_threads())):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
assert found == [2], found
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_results_come_in_order_and_what_runs_is_waited_for() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        done.append(number)
        return number

    results = in_order(work, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert set(done) <= {0, 1, 2, 4}
    started = in_order(work, iter([0, 1, 2]), 2)
    next(started)
    started.close()
    assert done.count(1) == 2  # it was running


def test_helpers_compute_in_inference_mode_with_a_thread_each(threads: int) -> None:
    def state(_: int) -> tuple[bool, int]:
        return torch.is_inference_mode_enabled(), torch.get_num_threads()

    with torch.inference_mode():
        assert set(in_order(state, range(4), threads)) == {(True, 1)}
    assert torch.get_num_threads() == threads


def test_without_room_for_threads_torch_shares_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_pools", {})
    monkeypatch.setattr(parallel.threading, "enumerate", list)
    monkeypatch.setattr(parallel.resource, "getrlimit", lambda _: (10**9, 10**9))  # ulimit -v
    x, weight = torch.randn(1, 64, 64, 64), torch.randn(64, 64, 3, 3)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            assert not parallel.can_share(2)
            assert torch.equal(conv2d(x, weight), F.conv2d(x, weight))
    finally:
        torch.set_num_threads(before)


def test_the_readme_shows_what_was_measured() -> None:
    results = json.loads((ROOT / "training" / "results" / "convolutions.json").read_text())
    text = (ROOT / "training" / "README.md").read_text()
    assert all(part in text for part in benchmark.tables(results).split("\n\n"))


@quick_here
def test_the_benchmark_times_what_a_pass_does() -> None:
    restorer = Restorer.load("embedded", device="cpu")
    found = benchmark.shapes(restorer)
    assert found[128, 128, 3, 64, 64] > 9 and any(side > 3 for _, _, side, _, _ in found)
    few = benchmark.timed_convolutions(Counter(dict(found.most_common(2))), 1)
    assert all(one["apart"] < 1e-3 and one["direct_ms"] > 0 and one["now_ms"] > 0 for one in few)
    one = benchmark._passes(restorer, 128, 1, 1)
    assert one["apart"] < 0.05 and one["before"] > 0 < one["now"]
