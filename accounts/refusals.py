"""What every room raises to tell somebody no."""

from typing import ClassVar


class Refusal(Exception):
    """A request understood and refused; nothing was changed.

    Subclasses stand beside the function that raises them. `code` is stable and machine-readable, `detail` tells a
    person what to do next, `retry_after` is the number of seconds after which asking again makes sense (or None).
    """

    code: ClassVar[str]
    detail: ClassVar[str]
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None) -> None:
        self.message = detail or self.detail
        super().__init__(self.message)
