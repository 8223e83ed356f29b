"""The format of a response."""

from typing import Any

from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings

from cashback.http.session_middleware import has_credentials


class Negotiation(DefaultContentNegotiation):
    """Falls back to JSON if no accepted format is available (RFC 9110 §12.5.1 allows it); 400 for an unknown `?format=`.

    The browsable page is for browsers: a request with an access token or a service key gets it for `?format=api` alone.
    """

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[BaseRenderer, str]:
        """Return the renderer and its media type. Raises ValidationError."""
        if request.META.get("HTTP_ACCEPT") == renderers[0].media_type and not request.META.get("QUERY_STRING"):
            return renderers[0], renderers[0].media_type  # the usual request of an app
        formats = [renderer.format for renderer in renderers]
        name = str(api_settings.URL_FORMAT_OVERRIDE)
        if request.query_params.get(name, formats[0]) not in formats:
            raise ValidationError({name: f"Use one of: {', '.join(formats)}."}, code="invalid_choice")
        if name not in request.query_params and has_credentials(request._request):
            renderers = [renderer for renderer in renderers if not isinstance(renderer, BrowsableAPIRenderer)]
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
        return chosen
