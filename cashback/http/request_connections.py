"""Which connections a request may take, when it gives its own back, and what is answered when an expensive read is refused."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from cashback.http.error_pages import render_problem
from cashback.http.problem_details import problem_for
from kernel.batching import release_connection
from kernel.connection_reservation import reserved_connections
from kernel.rate_limits import RateLimited
from kernel.slots import ReadsBusy

Handler = Callable[[HttpRequest], HttpResponse]


class ConnectionMiddleware:
    """Let claims take the connections reserved for them, and give every request's back before its answer is sent.

    Whoever reads an answer may take as long as they like: the database is not told to wait for them.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        try:
            if request.method == "POST" and request.path_info.endswith("/claim/"):
                with reserved_connections():
                    return self.get_response(request)
            return self.get_response(request)
        finally:
            release_connection()


class RefusalMiddleware:
    """Answer a page whose expensive read was refused, as the API answers."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page, or None for what is no such refusal."""
        found = problem_for(error) if isinstance(error, ReadsBusy | RateLimited) else None
        return render_problem(request, found) if found else None
