"""Pages cut at a row and not at a count, so that nothing is skipped or repeated while rows come and go."""

from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from django.template import loader
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

Rows = TypeVar("Rows", bound=QuerySet[Any])

PAGE_SIZE = 25
MAX_PAGE_SIZE = 100


@dataclass(frozen=True)
class Order:
    """A total order: one column, then the id. A null comes after every value, which is how PostgreSQL sorts."""

    column: str
    descending: bool

    def reversed(self) -> "Order":
        """Return the same order, backwards."""
        return Order(self.column, not self.descending)

    def sort(self, rows: Rows) -> Rows:
        """Put `rows` in this order."""
        sign = "-" if self.descending else ""
        return rows.order_by(*dict.fromkeys((f"{sign}{self.column}", f"{sign}id")))

    def after(self, value: Any, row_id: Any) -> Q:
        """Return what holds for the rows behind the one with this column's `value` and this id."""
        beyond = "lt" if self.descending else "gt"
        if self.column == "id":
            return Q(**{f"id__{beyond}": row_id})
        if value is None:
            tied = Q(**{f"{self.column}__isnull": True, f"id__{beyond}": row_id})
            return tied | Q(**{f"{self.column}__isnull": False}) if self.descending else tied
        # The first condition says nothing new; it lets an index start at the row instead of walking up to it.
        behind = Q(**{f"{self.column}__{beyond}e": value}) & (
            Q(**{f"{self.column}__{beyond}": value}) | Q(**{f"id__{beyond}": row_id})
        )
        return behind if self.descending else behind | Q(**{f"{self.column}__isnull": True})


def first_rows(rows: Rows, parts: list[Q], most: int) -> Rows:
    """Return the first of the ordered rows in all parts, by one query: the first of each part, and of these the first."""
    if len(parts) == 1:
        return rows.filter(parts[0])[:most]
    heads = [rows.filter(part).values("pk")[:most] for part in parts]
    return rows.filter(pk__in=heads[0].union(*heads[1:], all=True))[:most]


class CursorPages(BasePagination):
    """`?cursor=&page_size=&ordering=`; a view names its columns in `orderings` and its default in `ordering`.

    A cursor is signed for one list in one order: anything else is refused, so that nothing in it has to be believed.
    """

    parameters = ("cursor", "page_size", "ordering")
    template = "rest_framework/pagination/previous_and_next.html"
    display_page_controls = False

    @staticmethod
    def order(request: Request, view: Any) -> Order:
        """Return the order asked for, or the view's own. Raises ValidationError."""
        name = request.query_params.get("ordering") or view.ordering
        column = view.orderings.get(name.removeprefix("-"))
        if column is None:
            choices = ", ".join(ordering_names(view))
            raise ValidationError({"ordering": f"Order by one of: {choices}."}, code="ordering")
        return Order(column, name.startswith("-"))

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return one page of `queryset`. Raises ValidationError when a parameter is wrong."""
        self.request = request
        order, size = self.order(request, view), page_size(request)
        self.signer = Signer(salt=f"{view.basename} {order}")
        self.order_column = order.column
        place = self.place(request)
        backwards = place is not None and place[0]
        going = order.reversed() if backwards else order
        rows = going.sort(queryset)
        if place:
            rows = rows.filter(going.after(queryset.model._meta.get_field(order.column).to_python(place[1]), place[2]))
        found = list(first_rows(rows, view.parts(), size + 1))
        more, self.page = len(found) > size, found[:size]
        if backwards:
            self.page.reverse()
        self.has_next = backwards or more
        self.has_previous = more if backwards else place is not None
        self.display_page_controls = self.has_next or self.has_previous
        return self.page

    def place(self, request: Request) -> tuple[bool, str | None, str] | None:
        """Return what the cursor says: whether to go backwards, and the column and id of the row to start behind."""
        cursor = request.query_params.get("cursor")
        if not cursor:
            return None
        try:
            backwards, value, row_id = self.signer.unsign_object(cursor)
        except (BadSignature, ValueError) as error:
            detail = "This cursor is not of this list in this order. Start again without a cursor."
            raise ValidationError({"cursor": detail}, code="cursor") from error
        return backwards, value, row_id

    def link(self, row: Model | None, backwards: bool) -> str:
        """Return the address of the page behind `row`, or of the first one."""
        url = self.request.build_absolute_uri()
        if row is None:
            return remove_query_param(url, "cursor")
        value = getattr(row, self.order_column)
        cursor = self.signer.sign_object([backwards, None if value is None else str(value), str(row.pk)])
        return replace_query_param(url, "cursor", cursor)

    def links(self) -> tuple[str | None, str | None]:
        """Return the addresses of the next and the previous page, where there is one."""
        first, last = (self.page[0], self.page[-1]) if self.page else (None, None)
        return (
            self.link(last, backwards=False) if self.has_next else None,
            self.link(first, backwards=True) if self.has_previous else None,
        )

    def get_paginated_response(self, data: Any) -> Response:
        """Wrap a page in its links."""
        following, previous = self.links()
        return Response({"next": following, "previous": previous, "results": data})

    def to_html(self) -> str:
        """Return the links of the browsable page."""
        following, previous = self.links()
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
        described = {
            "cursor": ({"type": "string"}, "Where a page starts: taken from `next` or `previous`, never made up."),
            "page_size": (size, "How many results a page holds."),
            "ordering": (
                {"type": "string", "enum": ordering_names(view), "default": view.ordering},
                "A minus in front means descending. Ties are broken by id; what never expires comes after all that does.",
            ),
        }
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
            for name, (schema, text) in described.items()
        ]


def ordering_names(view: Any) -> list[str]:
    """Return the values that `ordering` may have."""
    return [sign + name for name in view.orderings for sign in ("", "-")]


def page_size(request: Request) -> int:
    """Return how many rows the page shall hold. Raises ValidationError."""
    given = request.query_params.get("page_size") or str(PAGE_SIZE)
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= MAX_PAGE_SIZE):
        raise ValidationError({"page_size": f"Ask for 1 to {MAX_PAGE_SIZE} results a page."}, code="page_size")
    return int(given)
