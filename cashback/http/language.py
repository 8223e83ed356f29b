"""The language of a response: the pages' is the reader's; the API and the console are in English."""

from typing import Any

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from cashback.http.channel import channel_of

ENGLISH = "en"


class LanguageMiddleware(LocaleMiddleware):
    """Django's choice of the language for pages, and English elsewhere, whatever the request accepts."""

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response."""
        channel = channel_of(request)
        if channel == "pages":
            return super().__call__(request)
        translation.activate(ENGLISH)  # a thread keeps the language of its last request
        response: Any = self.get_response(request)
        if channel == "admin":
            response.headers.setdefault("Content-Language", ENGLISH)
        return response
