"""`accelerate launch --cpu --num_processes N` starts one process, whatever N is (accelerate 1.15, without
mpirun). Training must not run on half of what it was given without a word: the others are started here.
"""

import ctypes
import os
import signal
import sys

import psutil

PR_SET_PDEATHSIG = 1  # of prctl(2)


def stop_with_the_launcher() -> None:
    """Get SIGTERM, which saves, when accelerate's launcher ends: it passes no signal on (Linux only)."""
    if sys.platform == "linux" and "ACCELERATE_MIXED_PRECISION" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start_all_processes() -> None:
    """Become torch's launcher of N gloo processes if accelerate was asked for N on a CPU and started one."""
    environ = os.environ
    one_of_several = "LOCAL_RANK" in environ or "OMPI_COMM_WORLD_SIZE" in environ or "PMI_SIZE" in environ
    if environ.get("ACCELERATE_USE_CPU", "").lower() != "true" or one_of_several:
        return
    count = _asked_for(psutil.Process(os.getppid()).cmdline())
    if count > 1:
        command = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        os.execv(sys.executable, [sys.executable, *command, "-m", "training.run", *sys.argv[1:]])


def _asked_for(command: list[str]) -> int:
    """The value of --num_processes in a command line; 1 without it."""
    for index, word in enumerate(command):
        name, _, value = word.replace("-", "_").partition("=")
        if name == "__num_processes":
            return int(value or command[index + 1])
    return 1
