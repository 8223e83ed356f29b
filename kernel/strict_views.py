"""API views that refuse what they do not read of a query string."""

from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView


class StrictView(APIView):
    """A view that refuses unknown parameters, so that a typo is never ignored. It must be the first base class."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who calls, then the query string. Raises ValidationError."""
        super().initial(request, *args, **kwargs)
        if request.query_params and request.method in self.allowed_methods:
            check_parameters(request, self.known_parameters())

    def known_parameters(self) -> set[str]:
        """Return the parameters that this request may have besides `format`."""
        return set()


def check_parameters(request: Request, known: set[str]) -> None:
    """Raise ValidationError when the query string has a parameter that is unknown, repeated or empty.

    The form of the browsable API submits its empty fields, so only there an empty parameter is allowed.
    """
    known = known | {str(api_settings.URL_FORMAT_OVERRIDE)}
    from_form = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    errors = {}
    for name, values in request.query_params.lists():
        if name not in known:
            errors[name] = ErrorDetail(f"Unknown parameter. Allowed: {', '.join(sorted(known))}.", "unknown")
        elif len(values) > 1:
            errors[name] = ErrorDetail("Use this parameter once.", "duplicate")
        elif not values[0] and not from_form:
            errors[name] = ErrorDetail("Give this parameter a value, or omit it.", "blank")
    if errors:
        raise ValidationError(errors)
