"""What is answered outside the API's views: problem+json below /api/, elsewhere a page."""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

from cashback.http.problem_details import INTERNAL, NOT_FOUND, PROBLEM_JSON, Problem, problem_for

API_ROOT = "/api/"


def render_problem(request: HttpRequest, found: Problem) -> HttpResponse:
    """Answer outside the API's views: problem+json below /api/, elsewhere the page <status>.html, or its nearest relative."""
    if request.path.startswith(API_ROOT):
        return JsonResponse(found.body(request.path), status=found.status, content_type=PROBLEM_JSON, headers=found.headers)
    ours = found.status >= 500
    page = loader.select_template([f"{found.status}.html", "500.html" if ours else "400.html"])
    # Without the request when we are broken: what the page would ask for may be what broke.
    html = page.render({"problem": found}, None if ours else request)
    return HttpResponse(html, status=found.status, headers=found.headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django finds suspicious (handler400)."""
    return render_problem(request, problem_for(exception) or Problem(400, "invalid", "The request is not valid."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer who may not (handler403)."""
    return render_problem(request, Problem(403, "permission_denied", "You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that does not exist (handler404)."""
    return render_problem(request, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer whatever no view caught (handler500), without a word of what it was."""
    error = sys.exc_info()[1]
    return render_problem(request, (error and problem_for(error)) or INTERNAL)
