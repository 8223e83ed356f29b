"""Model fields whose migrations import no code of ours: what only Python keeps (a default, validators) is left out of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import models

# As models.Field.deconstruct says it: name, path of the class, positional and keyword arguments.
Deconstructed = tuple[str, str, Sequence[Any], dict[str, Any]]


class GeneratedUUIDField(models.UUIDField[UUID | str, UUID]):
    """A UUID whose `default` may be a function of ours. A migration that inserts rows must give them their ids."""

    def deconstruct(self) -> Deconstructed:
        """Return what a migration keeps: a plain UUIDField without a default."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.UUIDField", args, {key: kwargs[key] for key in kwargs if key != "default"}


class ValidatedCharField(models.CharField[str, str]):
    """Text whose `validators` may be functions of ours."""

    def deconstruct(self) -> Deconstructed:
        """Return what a migration keeps: a plain CharField without validators."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, {key: kwargs[key] for key in kwargs if key != "validators"}
