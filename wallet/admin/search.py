"""Search by id in the lists of the console."""

from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest


class SearchByIdMixin(ModelAdmin[Any]):
    """Looks a full id up by key; searches anything else in `search_fields`."""

    id_fields: tuple[str, ...] = ("pk",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Return the matching rows, and whether they may contain duplicates."""
        try:
            searched_id = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        matches = queryset.none()
        for field in self.id_fields:
            matches |= queryset.filter(**{field: searched_id})
        return matches, False
