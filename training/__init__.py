"""Training: every stage from photographs to shipped weights. See training/README.md."""

import os

from lwr.threads import thread_settings

os.environ.update(thread_settings())  # every program here begins with this file, before torch
