"""The documentation of the problem types: an index at /problems/, and a page for each code, whose address is the `type`."""

from collections import defaultdict
from collections.abc import Iterator

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from cashback.gunicorn_worker.server_errors import SERVER_ERRORS
from cashback.http.problem_details import status_of
from cashback.http.problems import ProblemKind
from cashback.http.protocol_problems import PROTOCOL_PROBLEMS
from kernel.refusals import all_refusals


@require_safe
def problem_index(request: HttpRequest) -> HttpResponse:
    """List every code with what it means."""
    return render(request, "problem_index.html", {"problems": kinds_by_code().items()})


@require_safe
def problem_page(request: HttpRequest, code: str) -> HttpResponse:
    """Show what a code means, what to do, and whether a retry helps; 404 for an unknown code."""
    kinds = kinds_by_code().get(code)
    if kinds is None:
        raise Http404
    return render(request, "problem_page.html", {"code": code, "kinds": kinds})


def kinds_by_code() -> dict[str, list[ProblemKind]]:
    """Return the kinds of problem of every code, ordered by code."""
    found: dict[str, list[ProblemKind]] = defaultdict(list)
    for kind in all_kinds():
        if all((kind.status, kind.meaning) != (other.status, other.meaning) for other in found[kind.code]):
            found[kind.code].append(kind)
    return dict(sorted(found.items()))


def all_kinds() -> Iterator[ProblemKind]:
    """Yield every kind of problem of the product, of HTTP and of the web server."""
    for refusal in all_refusals():
        yield ProblemKind(status_of(refusal), refusal.code, refusal.meaning, refusal.detail, refusal.retry_after)
    yield from PROTOCOL_PROBLEMS
    yield from SERVER_ERRORS
