"""The one error of this package."""


class DatasetError(Exception):
    """What was asked for cannot be done; the text is a sentence that says why and what to do."""
