"""`python app.py` on ZeroGPU, without a GPU: the real `spaces` starts its processes, only CUDA is replaced.

`python zerogpu.py APP ANSWER`: the file ANSWER says what the scheduler answers: "gpu", "quota" or "illegal".
Each question to the scheduler, with its answer, is a line of the output.
"""

import json
import os
import runpy
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

GPU = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
REFUSALS = {"quota": {"left": 0, "wait": 3600}, "illegal": {"left": 60, "wait": -1}}


class Scheduler(BaseHTTPRequestHandler):
    """Lends GPUs that are not there."""

    answer: Path

    def do_POST(self) -> None:
        """/startup-report, /schedule, /allow and /release."""
        kind = self.answer.read_text() if self.path.startswith("/schedule") else "gpu"
        print("scheduler:", kind, self.path, flush=True)
        body = json.dumps(REFUSALS.get(kind, GPU)).encode()
        self.send_response(429 if kind in REFUSALS else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing beside what is printed above."""


def imported() -> ModuleType:
    """`spaces` as it is on ZeroGPU, with a torch that may have no CUDA."""
    torch.version.cuda = torch.version.cuda or "12.8"
    torch._C._cuda_init = getattr(torch._C, "_cuda_init", None)
    torch.cuda._is_in_bad_fork = bool
    import spaces

    return spaces


def without_cuda(zero: ModuleType) -> None:
    """Weights go to the processes on the CPU; where `spaces` keeps them meanwhile is its own."""
    from spaces.zero.torch.patching import cuda_aliases

    weights: list[tuple[torch.Tensor, torch.Tensor]] = []
    pack: Callable[[], int] = zero.pack

    def keep() -> int:
        weights.extend((shown, real) for shown, real in cuda_aliases.items() if real is not None)
        return pack()

    def move(callback: Any = None) -> None:
        for shown, real in weights:
            shown.data = real
        sys.modules["__main__"].RESTORER.device = torch.device("cpu")

    zero.pack, zero.move, zero.init, zero.size = keep, move, lambda _: None, lambda: 0


def main() -> None:
    """Start the scheduler, then the app."""
    app, Scheduler.answer = sys.argv[1], Path(sys.argv[2])
    scheduler = ThreadingHTTPServer(("127.0.0.1", 0), Scheduler)
    threading.Thread(target=scheduler.serve_forever, daemon=True).start()
    os.environ["SPACES_ZERO_GPU"] = "true"
    os.environ["SPACES_ZERO_DEVICE_API_URL"] = f"http://127.0.0.1:{scheduler.server_port}"
    without_cuda(imported().zero.torch)
    sys.path[0] = str(Path(app).parent)
    runpy.run_path(app, run_name="__main__")


if __name__ == "__main__":
    main()
