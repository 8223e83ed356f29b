"""Cursor pagination: a page starts after a row and not at an offset, so that inserts and deletes skip or repeat nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from django.template import loader
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from kernel.whole_numbers import parse_whole_number
from wallet.delivery.cursors import InvalidCursor

Rows = TypeVar("Rows", bound=QuerySet[Any])

PAGE_SIZE = 25
MAX_PAGE_SIZE = 100


@dataclass(frozen=True)
class Order:
    """A total order: one column, then the id. NULL comes after every value, as PostgreSQL sorts it."""

    column: str
    descending: bool

    def reversed(self) -> "Order":
        """Return the reverse order."""
        return Order(self.column, not self.descending)

    def sort(self, rows: Rows) -> Rows:
        """Return `rows` in this order."""
        sign = "-" if self.descending else ""
        return rows.order_by(*dict.fromkeys((f"{sign}{self.column}", f"{sign}id")))

    def after(self, value: Any, row_id: Any) -> Q:
        """Return the condition for the rows after the one with this `value` of the column and this id."""
        operator = "lt" if self.descending else "gt"
        if self.column == "id":
            return Q(**{f"id__{operator}": row_id})
        if value is None:
            tied = Q(**{f"{self.column}__isnull": True, f"id__{operator}": row_id})
            return tied | Q(**{f"{self.column}__isnull": False}) if self.descending else tied
        # The first condition is redundant; it lets an index scan start at the row instead of filtering up to it.
        following = Q(**{f"{self.column}__{operator}e": value}) & (
            Q(**{f"{self.column}__{operator}": value}) | Q(**{f"id__{operator}": row_id})
        )
        return following if self.descending else following | Q(**{f"{self.column}__isnull": True})


def first_rows(rows: Rows, branches: list[Q], limit: int) -> Rows:
    """Return the first `limit` ordered rows of the union of the branches, in one query that reads `limit` rows per branch."""
    if len(branches) == 1:
        return rows.filter(branches[0])[:limit]
    heads = [rows.filter(branch).values("pk")[:limit] for branch in branches]
    return rows.filter(pk__in=heads[0].union(*heads[1:], all=True))[:limit]


class CursorPagination(BasePagination):
    """`?cursor=&page_size=&ordering=`; a view declares its columns in `orderings` and its default in `ordering`.

    A cursor is signed for one list and ordering, so that its content can be trusted; any other is refused.
    """

    parameters = ("cursor", "page_size", "ordering")
    template = "rest_framework/pagination/previous_and_next.html"
    display_page_controls = False

    @staticmethod
    def requested_order(request: Request, view: Any) -> Order:
        """Return the requested order, or the view's default. Raises ValidationError."""
        name = request.query_params.get("ordering", view.ordering)
        column = view.orderings.get(name.removeprefix("-"))
        if column is None:
            choices = ", ".join(ordering_names(view))
            raise ValidationError({"ordering": f"Use one of: {choices}."}, code="invalid_choice")
        return Order(column, name.startswith("-"))

    def checked_order(self, request: Request, view: Any) -> Order:
        """Return the requested order after checking all parameters, for a list that is not paged. Raises ValidationError."""
        order = self.requested_order(request, view)
        self.signer = Signer(salt=f"{view.basename} {order}")
        page_size(request)
        self.decode_cursor(request)
        return order

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return one page of `queryset`. Raises ValidationError when a parameter is wrong."""
        self.request, self.view = request, view
        order, size = self.requested_order(request, view), page_size(request)
        self.signer = Signer(salt=f"{view.basename} {order}")
        self.order_column = order.column
        cursor = self.decode_cursor(request)
        backwards = cursor is not None and cursor[0]
        direction = order.reversed() if backwards else order
        rows = self.read_rows(queryset, direction, cursor[1:] if cursor else None, size + 1)
        more, self.page = len(rows) > size, rows[:size]
        if backwards:
            self.page.reverse()
        self.has_next = backwards or more
        self.has_previous = more if backwards else cursor is not None
        self.display_page_controls = self.has_next or self.has_previous
        return self.page

    def read_rows(self, queryset: Any, direction: Order, start: tuple[str | None, str] | None, limit: int) -> list[Any]:
        """Return the first `limit` rows of the list in this direction.

        Arguments:
            start: the column's value and the id of the row to start after; None: the first row.
        """
        ordered = direction.sort(queryset)
        if start:
            value = queryset.model._meta.get_field(direction.column).to_python(start[0])
            ordered = ordered.filter(direction.after(value, start[1]))
        return list(first_rows(ordered, self.view.branches(), limit))

    def decode_cursor(self, request: Request) -> tuple[bool, str | None, str] | None:
        """Return the content of the cursor: whether to go backwards, and the column's value and id of the row to start after.

        None without a cursor. Raises ValidationError when it is invalid.
        """
        cursor = request.query_params.get("cursor")
        if not cursor:
            return None
        try:
            backwards, value, row_id = self.signer.unsign_object(cursor)
        except (BadSignature, ValueError) as error:
            detail = "Invalid cursor for this list and ordering. Start again without a cursor."
            raise ValidationError({"cursor": detail}, code=InvalidCursor.code) from error
        return backwards, value, row_id

    def page_url(self, row: Model | None, backwards: bool) -> str:
        """Return the URL of the page after `row`, or of the first page."""
        url = self.request.build_absolute_uri()
        if row is None:
            return remove_query_param(url, "cursor")
        value = getattr(row, self.order_column)
        cursor = self.signer.sign_object([backwards, None if value is None else str(value), str(row.pk)])
        return replace_query_param(url, "cursor", cursor)

    def page_urls(self) -> tuple[str | None, str | None]:
        """Return the URLs of the next and the previous page; None where there is none."""
        first, last = (self.page[0], self.page[-1]) if self.page else (None, None)
        return (
            self.page_url(last, backwards=False) if self.has_next else None,
            self.page_url(first, backwards=True) if self.has_previous else None,
        )

    def get_paginated_response(self, data: Any) -> Response:
        """Return a page with its links."""
        following, previous = self.page_urls()
        return Response({"next": following, "previous": previous, "results": data})

    def to_html(self) -> str:
        """Return the links in the browsable API."""
        following, previous = self.page_urls()
        return loader.get_template(self.template).render({"next_url": following, "previous_url": previous})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page for OpenAPI."""
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        following = link | {"example": "https://wallet.example/api/v1/…/?cursor=…"}
        properties = {"next": following, "previous": link, "results": schema}
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters for OpenAPI."""
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
        parameters = {
            "cursor": ({"type": "string"}, "Start of the page, as found in `next` or `previous`."),
            "page_size": (size, "Results per page."),
            "ordering": (
                {"type": "string", "enum": ordering_names(view), "default": view.ordering},
                "Prefix with - for descending order. Ties are broken by id; in ascending order, no expiry comes last.",
            ),
        }
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
            for name, (schema, text) in parameters.items()
        ]


class PageSizeField(serializers.IntegerField):
    """The number of results per page, in a query string."""

    default_error_messages: ClassVar = dict.fromkeys(
        ("invalid", "min_value", "max_value"), f"Use 1 to {MAX_PAGE_SIZE} results per page."
    )

    def __init__(self, default: int = PAGE_SIZE) -> None:
        super().__init__(min_value=1, max_value=MAX_PAGE_SIZE, default=default, help_text="Results per page.")

    def to_internal_value(self, data: Any) -> int:
        """Return the number; raise ValidationError."""
        try:
            return parse_whole_number(data)
        except ValueError:
            self.fail("invalid")


class HistoryPagination(CursorPagination):
    """Pages of a WalletHistory, whose rows come from two tables."""

    def read_rows(self, queryset: Any, direction: Order, start: tuple[str | None, str] | None, limit: int) -> list[Any]:
        """Return the first `limit` rows of the history in this direction; `queryset` is a WalletHistory."""
        rows: list[Any] = queryset.read(limit=limit, descending=direction.descending, start=start)
        return rows


def ordering_names(view: Any) -> list[str]:
    """Return the allowed values of `ordering`."""
    return [sign + name for name in view.orderings for sign in ("", "-")]


def page_size(request: Request) -> int:
    """Return the requested page size. Raises ValidationError."""
    try:
        size: int = PageSizeField().run_validation(request.query_params.get("page_size", empty))
    except ValidationError as error:
        raise ValidationError({"page_size": error.detail}) from error
    return size
