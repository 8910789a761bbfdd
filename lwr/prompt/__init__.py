"""Free text to {task: strength}."""

from lwr.prompt.router import MAX_CHARACTERS, Route, route

__all__ = ["MAX_CHARACTERS", "Route", "route"]
