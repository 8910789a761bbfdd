"""What one photo of many leads to: a line, or the line of why there is none, so that the others go on."""

from collections.abc import Callable

from lwr.batch.report import Line
from lwr.images.files import ImageError
from lwr.loading.limits import is_too_little


def line_of(photo: str, work: Callable[..., Line], *arguments: object) -> Line:
    """What `work(*arguments)` says of a photo, or {"input", "error"} with a sentence."""
    try:
        return work(*arguments)
    except ImageError as error:
        return {"input": photo, "error": str(error)}
    except (MemoryError, RuntimeError) as error:
        if not is_too_little(error):
            raise
        return {"input": photo, "error": "There is too little memory for this photo: close other programs."}
