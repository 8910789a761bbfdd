"""Measure the page: start, first paint, click to picture, eight visitors at once, a soak of mixed requests.

    python -m training.benchmarks.space                     # writes training/results/space.json
    python -m training.benchmarks.space --soak-minutes 30   # the soak alone: training/results/soak.json

Needs tests/requirements.txt and Debian's chromium.
"""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from gradio_client import Client, handle_file
from PIL import Image

from lwr.restore import Restorer
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.machine import ROOT

COMMAND = "python -m training.benchmarks.space"
VISITORS = 8
REPEATS = 7
SENTENCES = ("fix the blur", "remove the haze", "slightly dehaze and fix the camera shake", "enlarge it 2x")
INSISTING = "strongly fix the blur"  # done whatever the photo shows, so that there is work to measure


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """(address, process, seconds until it answered) of `python app.py`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "uploads")}
    start, address = time.perf_counter(), f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | own, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("app.py did not start: run it by itself to see why.") from None
                time.sleep(0.05)
        yield address, psutil.Process(server.pid), time.perf_counter() - start
    finally:
        server.terminate()
        server.wait(30)


def first_paint(address: str) -> float:
    """Seconds until a browser shows something of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#restore")
        script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        milliseconds = page.evaluate(script)
        browser.close()
    return milliseconds / 1000


def clicks(address: str, photo: Path) -> list[float]:
    """Seconds from sending a 512x512 photo to having the result's file, again and again."""
    client, seconds = Client(address, verbose=False), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        file, _ = client.predict(handle_file(photo), INSISTING, api_name="/restore")
        Image.open(file).load()
        seconds.append(time.perf_counter() - start)
    return seconds


def at_once(address: str, folder: Path, process: psutil.Process) -> dict[str, Any]:
    """Eight visitors with photos and sentences of their own; each answer is compared with the right one."""
    restorer, asked = Restorer.load(device="cpu"), []
    for number in range(VISITORS):
        path = folder / f"visitor-{number}.png"
        source(number).save(path)
        asked.append((path, SENTENCES[number % 3]))
    right = [restorer(path, sentence).image.tobytes() for path, sentence in asked]

    def visit(request: tuple[Path, str]) -> bytes:
        path, sentence = request
        file, _ = Client(address, verbose=False).predict(handle_file(path), sentence, api_name="/restore")
        return Image.open(file).tobytes()

    start = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as threads:
        made = list(threads.map(visit, asked))
    return {
        "visitors": VISITORS,
        "wrong_or_failed": sum(one != other for one, other in zip(made, right, strict=True)),
        "seconds": round(time.perf_counter() - start, 2),
        "memory_gb": round(process.memory_info().rss / 1e9, 2),
    }


def soak(address: str, folder: Path, process: psutil.Process, minutes: float) -> dict[str, Any]:
    """Mixed requests, one after the other; memory after the first fifth and at the end."""
    client, chance = Client(address, verbose=False), random.Random(0)
    start, samples, requests = time.perf_counter(), [], 0
    while (passed := time.perf_counter() - start) < 60 * minutes:
        path = folder / "soak.png"
        source(chance.randrange(99), chance.choice((96, 256, 512, 700))).save(path)
        kind = chance.choice(("restore", "restore", "restore", "route", "bad"))
        try:
            if kind == "route":
                client.predict(chance.choice(SENTENCES), api_name="/route")
            else:
                words = "nothing that it knows" if kind == "bad" else chance.choice(SENTENCES)
                client.predict(handle_file(path), words, api_name="/restore")
        except Exception as error:
            if kind != "bad":
                raise SystemExit(f"A request of the soak failed: {error}") from error
        requests += 1
        samples.append((passed, process.memory_info().rss / 1e9))
    warm = [gb for passed, gb in samples if passed > 12 * minutes]
    fifth = max(1, len(warm) // 5)
    early, late = statistics.median(warm[:fifth]), statistics.median(warm[-fifth:])
    return {
        "minutes": minutes,
        "requests": requests,
        "memory_gb_early": round(early, 3),
        "memory_gb_late": round(late, 3),
        "growth_percent": round(100 * (late / early - 1), 1),
    }


def source(number: int, side: int = 512) -> Image.Image:
    """A photo that no other visitor has."""
    names = sorted((ROOT / "lwr" / "samples").glob("*.jpg"))
    picture = Image.open(names[number % len(names)]).convert("RGB").resize((side, side))
    return picture.rotate(7 * number)


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    soak_minutes: float = 0.0  # of mixed requests instead of all else; 0 = none


def main() -> None:
    """Entry point."""
    minutes = parse(Options, None, COMMAND, __doc__).soak_minutes
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch)) as (address, process, started):
        folder = Path(scratch)
        if minutes:
            found = made_with(f"{COMMAND} --soak-minutes {minutes:g}", ("torch", "gradio"))
            write(found | soak(address, folder, process, minutes), RESULTS / "soak.json")
            return
        source(1).save(folder / "photo.png")
        paint = first_paint(address)
        clicked = clicks(address, folder / "photo.png")
        results = made_with(COMMAND, ("torch", "gradio")) | {
            "start_s": round(started, 2),
            "first_paint_s": round(paint, 2),
            "click_to_picture_512_s": {
                "first": round(clicked[0], 2),
                "median": round(statistics.median(clicked), 2),
            },
            "at_once": at_once(address, folder, process),
        }
    write(results, RESULTS / "space.json")


if __name__ == "__main__":
    main()
