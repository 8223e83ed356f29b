"""Lists of the console: a page number or filter that cannot be read is refused, and not left out."""

from http import HTTPStatus
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from kernel.whole_numbers import parse_whole_number


class StrictListMixin(ModelAdmin[Any]):
    """A section whose list answers 400 to what Django would pass over."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list. Raises BadRequest."""
        check_page_number(request)
        response: HttpResponse = super().changelist_view(request, extra_context)
        if response.status_code == HTTPStatus.FOUND and response.headers["Location"].endswith(f"?{ERROR_FLAG}=1"):
            raise BadRequest(_("This list has no such filter, or its value cannot be read."))
        return response


def check_page_number(request: HttpRequest) -> None:
    """Raise BadRequest unless the page number is a whole number."""
    try:
        parse_whole_number(request.GET.get(PAGE_VAR) or "1", minimum=1)
    except ValueError as error:
        raise BadRequest(_("There is no such page of this list.")) from error
