"""Validation that reports the errors of all fields at once, and of ranges."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ValidationError

R = TypeVar("R")
Errors = dict[str, list[ValidationError]]


def collect_errors(errors: Errors, step: Callable[..., R], *arguments: object) -> R | None:
    """Return the result of `step`, or None after adding its validation errors to `errors`."""
    try:
        return step(*arguments)
    except ValidationError as error:
        error.update_error_dict(errors)
        return None


def raise_errors(errors: Errors) -> None:
    """Raise the collected errors, if there are any."""
    if errors:
        raise ValidationError(errors)


def is_reversed(lower: Any, upper: Any) -> bool:
    """Return whether a range ends before it begins; None is an open end."""
    return lower is not None and upper is not None and upper < lower
