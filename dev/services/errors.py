"""The one refusal of this package."""


class LocalServiceError(Exception):  # noqa: N818 - `except local.Cannot` reads as what it means
    """A local server or its folder is out of reach; the text is one sentence that names the variable to set."""
