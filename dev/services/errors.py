"""The error of this package."""


class LocalServiceError(Exception):
    """A local server or its folder is unavailable. The text is one sentence that names the variable to set."""
