"""Light-weight restoration: photo and words in, restored photo out.

    from lwr import Restorer
    Restorer.load()("photo.jpg", "remove the haze").image.save("restored.png")

`import lwr` loads nothing else; `Restorer` brings torch and diffusers when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from lwr.version import __version__

if TYPE_CHECKING:
    from lwr.restore import Restorer

__all__ = ["Restorer", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `Restorer` the first time that it is used (PEP 562)."""
    if name == "Restorer":
        from lwr.restore import Restorer

        return Restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
