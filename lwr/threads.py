"""How torch's threads wait for each other, for the programs of this repository; torch must not be loaded yet.

After each operation OpenMP's threads spin, so that the next starts at once. Beside another busy program that
costs more than it gains: a thread that was interrupted is waited for by one that takes its core. How long to
spin instead, measured: training.benchmarks.threads, training/results/threads.json.

Only programs of ours put this into their environment, `import lwr` does not: in somebody else's program it is
theirs to decide.
"""

import os
import sys
from collections.abc import Mapping

# Variables by which a user may have decided already, for GNU's OpenMP (torch on Linux) and LLVM's
DECIDED_BY = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY")
SPINS = "1000"


def thread_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What to add to the environment; nothing where the user has decided, or torch is loaded and has read it.

    A variable that is there counts, an empty one too. LLVM's OpenMP (macOS, Windows) keeps its default.
    """
    decided = "torch" in sys.modules or any(name in environment for name in DECIDED_BY)
    return {} if decided else {"GOMP_SPINCOUNT": SPINS}
