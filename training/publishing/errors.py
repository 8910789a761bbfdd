"""The one error of this package."""


class PublishError(Exception):
    """What cannot be published, or not now; one sentence: what is wrong, and what to do."""
