"""The one error of `lwr.images`: its text is a sentence for the user."""


class ImageError(ValueError):
    """A photo cannot be read or written; the text is one sentence for the user: what is wrong, what to do."""
