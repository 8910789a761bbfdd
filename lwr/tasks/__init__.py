"""Every task, by name: each file beside this one that holds a constant `TASK` is gathered, in the files' order."""

from importlib import import_module
from pkgutil import iter_modules

from lwr.tasks.base import Task

_FILES = sorted(module.name for module in iter_modules(__path__) if module.name != "base")
TASKS: dict[str, Task] = {task.name: task for task in (import_module(f"{__name__}.{f}").TASK for f in _FILES)}
