"""Training: every stage from photographs to shipped weights. See training/README.md."""

import os

from lwr.loading.limits import keep_freed
from lwr.threads import thread_settings

os.environ.update(thread_settings())  # every program here begins with this file, before torch
keep_freed()
