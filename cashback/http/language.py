"""The language of a request: the visitor's on pages and in the API, English in the console."""

from django.conf import settings
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

CONSOLE = "/admin/"


class LanguageMiddleware(LocaleMiddleware):
    """Activates the visitor's language. The console is not translated, so that it is in one language, with its formats."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate English in the console, whatever the browser or the language cookie asks for."""
        if not request.path_info.startswith(CONSOLE):
            super().process_request(request)
            return
        translation.activate(settings.LANGUAGE_CODE)
        request.LANGUAGE_CODE = settings.LANGUAGE_CODE
