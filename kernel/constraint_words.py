"""Words for the database's constraints: what a person reads instead of a constraint's name."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Model
from django.utils.translation import gettext

from kernel.transactions import violated_constraint

# By the name of a constraint or of a trigger's rule: the field that it is about, the sentence beside it, and perhaps a code.
Words = Mapping[str, tuple[str, str] | tuple[str, str, str]]


def violation_error(words: Words, name: str) -> ValidationError:
    """Return the error beside the field of a constraint. Raises KeyError for an unknown one."""
    field, sentence, *codes = words[name]
    # Most without a code: for "invalid" Django's forms would show the message of their own field instead.
    return ValidationError({field: ValidationError(gettext(sentence), code=codes[0] if codes else None)})


@contextmanager
def violations_in_words(words: Words) -> Iterator[None]:
    """Run a block that writes rows; raise the violation of a constraint that has words as a ValidationError."""
    try:
        yield
    except IntegrityError as error:
        if (name := violated_constraint(error)) in words:
            raise violation_error(words, name) from error
        raise


def check_constraints(row: Model, words: Words, exclude: Collection[str] | None = None) -> None:
    """Raise ValidationError with the words of all constraints that an unsaved row violates; one query each.

    Arguments:
        exclude: fields that are invalid anyway; constraints on them are not checked.
    """
    errors: dict[str, list[ValidationError]] = {}
    for constraint in (each for each in row._meta.constraints if each.name in words):
        try:
            constraint.validate(type(row), row, exclude=set(exclude or ()))
        except ValidationError:
            violation_error(words, constraint.name).update_error_dict(errors)
    if errors:
        raise ValidationError(errors)
