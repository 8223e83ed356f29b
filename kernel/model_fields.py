"""Model fields whose migrations import none of our code: defaults and validators in Python are left out of them."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db import models

# The result of models.Field.deconstruct: name, path of the class, positional and keyword arguments.
Deconstructed = tuple[str, str, Sequence[Any], dict[str, Any]]


class GeneratedUUIDField(models.UUIDField[UUID | str, UUID]):
    """A UUID whose `default` may be one of our functions. A migration that inserts rows must set their ids."""

    def deconstruct(self) -> Deconstructed:
        """Return a plain UUIDField without a default."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.UUIDField", args, {key: kwargs[key] for key in kwargs if key != "default"}


class ValidatedEmailField(models.EmailField[str, str]):
    """An EmailField whose `validators` may be our functions, which take the place of Django's."""

    default_validators: ClassVar[list[Any]] = []  # type: ignore[misc]

    def deconstruct(self) -> Deconstructed:
        """Return a plain EmailField without validators."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.EmailField", args, {key: kwargs[key] for key in kwargs if key != "validators"}


class ValidatedCharField(models.CharField[str, str]):
    """A CharField whose `validators` may be our functions."""

    def deconstruct(self) -> Deconstructed:
        """Return a plain CharField without validators."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, {key: kwargs[key] for key in kwargs if key != "validators"}
