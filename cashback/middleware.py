"""What every request passes on its way in."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from wallet.trace import through

DOORS = {"/api/": "api", "/admin/": "admin"}


class DoorMiddleware:
    """Name the door a request came through, for the history of what it changes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with its door named."""
        name = next((door for start, door in DOORS.items() if request.path.startswith(start)), "pages")
        with through(name):
            return self.get_response(request)
