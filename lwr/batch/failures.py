"""What one photo of many leads to: a line, or the line of why there is none, so that the others go on."""

from collections.abc import Callable

from lwr.batch.report import Line
from lwr.images.files import FileThereError, ImageError
from lwr.loading.limits import is_too_little

OVERWRITE = "choose another name, or --overwrite to replace it"
SKIP = "--overwrite replaces it, and --skip-existing leaves finished ones alone"


def said(error: ImageError, remedy: str = OVERWRITE) -> str:
    """An error as a command says it: of a file in the way, `remedy` names the options there are."""
    return str(FileThereError(error.path, remedy)) if isinstance(error, FileThereError) else str(error)


def line_of(photo: str, work: Callable[..., Line], *arguments: object, remedy: str = OVERWRITE) -> Line:
    """What `work(*arguments)` says of a photo, or {"input", "error"} with a sentence."""
    try:
        return work(*arguments)
    except ImageError as error:
        return {"input": photo, "error": said(error, remedy)}
    except (MemoryError, RuntimeError) as error:
        if not is_too_little(error):
            raise
        return {"input": photo, "error": "There is too little memory for this photo: close other programs."}
