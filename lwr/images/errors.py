"""The one error of `lwr.images`: its text is a sentence for the user."""


def printable(text: str) -> str:
    """One line of text that a terminal shows, whatever a file had in it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


class ImageError(ValueError):
    """A photo cannot be read or written; the text is one sentence for the user: what is wrong, what to do."""
