"""The database connections of a request, and the page for an expensive read that was refused."""

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
    """Lets claims use the reserved connections, and releases the connection of each request before the response is sent.

    So a client that reads slowly holds no database connection. It also renders the page of an expensive read that was refused:
    a middleware of its own would cost every claim.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        try:
            if request.method == "POST" and request.path_info.endswith("/claim/"):
                with reserved_connections():
                    return self.get_response(request)
            return self.get_response(request)
        finally:
            release_connection()

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the error page, or None for another error."""
        found = problem_for(error) if isinstance(error, ReadsBusy | RateLimited) else None
        return render_problem(request, found) if found else None
