"""Free text to {task: strength} and to the size of the restored photo."""

from lwr.prompt.router import MAX_CHARACTERS, Route, route
from lwr.prompt.sizes import Size, size_of

__all__ = ["MAX_CHARACTERS", "Route", "Size", "route", "size_of"]
