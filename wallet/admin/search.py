"""Searching a list."""

from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest


class SearchByIdMixin(ModelAdmin[Any]):
    """Finds one row by its whole id, by its key; anything else is looked for in the room's fields."""

    id_fields: tuple[str, ...] = ("pk",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Return the rows that answer to the term, and whether they may repeat."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        found = queryset.none()
        for field in self.id_fields:
            found |= queryset.filter(**{field: wanted})
        return found, False
