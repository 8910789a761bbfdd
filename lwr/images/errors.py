"""The one error of `lwr.images`: its text is a sentence for the user."""


def printable(text: str) -> str:
    """One line of text that a terminal shows, whatever a file had in it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


class ImageError(ValueError):
    """A photo cannot be read or written; the text is one sentence for the user: what is wrong, what to do."""


class FileThereError(ImageError):
    """A file is in the way that nobody said to replace."""

    def __init__(self, path: object, remedy: str = "choose another name or allow overwriting") -> None:
        """`remedy`: what to do, in the caller's words: an option, an argument."""
        super().__init__(f"{path} already exists; {remedy}.")
        self.path = path
