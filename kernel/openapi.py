"""How a view declares its operation to the OpenAPI schema: a summary, and the codes that its problems may have."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException

from kernel.refusals import Refusal

F = TypeVar("F", bound=Callable[..., Any])
PROBLEM_CODES = "x-problem-codes"  # extension of an operation: a list of codes here, the codes by HTTP status in the schema


def operation(summary: str, *errors: type[Refusal] | type[APIException], **schema: Any) -> Callable[[F], F]:
    """Return a decorator that describes an operation.

    Arguments:
        summary: what the operation does, in a few words.
        errors: what it may raise besides what every operation may.
        schema: the other arguments of drf-spectacular's `extend_schema`.
    """
    codes = [error.code if issubclass(error, Refusal) else error.default_code for error in errors]
    decorate: Callable[[F], F] = extend_schema(summary=summary, extensions={PROBLEM_CODES: codes}, **schema)
    return decorate
