"""Answers to errors outside the API's views: problem+json below /api/, a page elsewhere."""

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

from cashback.http.problem_details import problem_for
from cashback.http.problems import PROBLEM_JSON, Problem
from cashback.http.protocol_problems import INTERNAL_ERROR, INVALID, NOT_FOUND, PERMISSION_DENIED

API_ROOT = "/api/"


def render_problem(request: HttpRequest, found: Problem) -> HttpResponse:
    """Return problem+json below /api/, and elsewhere the page <status>.html, or else the one for 400 or 500."""
    if request.path.startswith(API_ROOT):
        return JsonResponse(found.body(request.path), status=found.status, content_type=PROBLEM_JSON, headers=found.headers)
    is_server_error = found.status >= 500
    page = loader.select_template([f"{found.status}.html", "500.html" if is_server_error else "400.html"])
    # Without the request after a server error: a context processor may be what failed.
    html = page.render({"problem": found}, None if is_server_error else request)
    return HttpResponse(html, status=found.status, headers=found.headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the answer to a request that Django rejects (handler400)."""
    return render_problem(request, problem_for(exception) or INVALID.problem("The request is not valid."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the answer to a caller without permission (handler403)."""
    return render_problem(request, PERMISSION_DENIED.problem())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the answer for an address that does not exist (handler404)."""
    return render_problem(request, NOT_FOUND.problem())


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the answer to an unexpected error (handler500), without a detail of it."""
    error = sys.exc_info()[1]
    return render_problem(request, (error and problem_for(error)) or INTERNAL_ERROR.problem())
