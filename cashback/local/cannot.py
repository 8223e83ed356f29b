"""The one refusal of this package."""


class Cannot(Exception):
    """A local server or its folder is out of reach; the text is one sentence that names the variable to set."""
