"""Training: every stage from photographs to shipped weights. See training/README.md."""

import os

from lwr.loading.limits import keep_freed
from lwr.threads import SPINS_OF_TRAINING, thread_settings

# Every program here begins with this file, before torch
os.environ.update(thread_settings(spins=SPINS_OF_TRAINING))
keep_freed()
