"""How torch's threads wait for each other, for the programs of this repository; torch must not be loaded yet.

After each operation OpenMP's threads spin, so that the next starts at once. Beside another busy program that
costs more than it gains: a thread that was interrupted is waited for by one that takes its core. So a pass
takes fewer threads there (lwr/models/sharing.py); training, whose steps do not, spins for a shorter time.
Measured: training.benchmarks.threads, training/results/threads.json.

Only programs of ours decide this, `import lwr` does not: in somebody else's program it is theirs to decide.
"""

import os
import sys
from collections.abc import Mapping

# Variables by which a user may have decided already, for GNU's OpenMP (torch on Linux) and LLVM's
DECIDED_BY = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY")
SPINS, SPINS_OF_TRAINING = "20000", "1000"


def thread_settings(environment: Mapping[str, str] = os.environ, spins: str = SPINS) -> dict[str, str]:
    """What to add to the environment; nothing where the user has decided, or torch is loaded and has read it.

    A variable that is there counts, an empty one too. LLVM's OpenMP (macOS, Windows) keeps its default.
    `spins`: how often a thread looks whether there is something to do, before it sleeps.
    """
    decided = "torch" in sys.modules or any(name in environment for name in DECIDED_BY)
    return {} if decided else {"GOMP_SPINCOUNT": spins}
