"""Every task, by name, gathered in file order from each file beside this one that holds a constant `TASK`."""

from importlib import import_module
from pkgutil import iter_modules

from lwr.tasks.base import Task

_FILES = sorted(module.name for module in iter_modules(__path__) if module.name != "base")
TASKS: dict[str, Task] = {task.name: task for task in (import_module(f"{__name__}.{f}").TASK for f in _FILES)}
