"""A view that raises any given error."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import IsAdmin
from cashback import urls
from kernel.strict_serializers import StrictSerializer

raised: list[Callable[[], Exception]] = []


class LineSerializer(StrictSerializer):
    amount = serializers.DecimalField(max_digits=9, decimal_places=2)


class OrderSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    title = serializers.CharField(max_length=20)
    count = serializers.IntegerField(min_value=1, default=1)
    lines = LineSerializer(many=True, required=False)


class Broken(APIView):
    """Raises what the test put in, or takes an order."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        raise raised[-1]()

    def post(self, request: Request) -> Response:
        order = OrderSerializer(data=request.data)
        order.is_valid(raise_exception=True)
        return Response(order.validated_data)


class ForAdmins(APIView):
    permission_classes = (IsAdmin,)

    def get(self, request: Request) -> Response:
        return Response({})


def broken(request: HttpRequest) -> HttpResponse:
    raise raised[-1]()


urlpatterns = [
    path("api/v1/broken/", Broken.as_view()),
    path("api/v1/for-admins/", ForAdmins.as_view()),
    path("api/v1/outside/", broken),
    path("broken/", broken),
    *urls.urlpatterns,
]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.fixture(autouse=True)
def _broken_house(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.errors.conftest"


@pytest.fixture
def visitor() -> Client:
    """Gets the answer that a stranger would, instead of the exception."""
    return Client(raise_request_exception=False)


@pytest.fixture
def ask(visitor: Client) -> Callable[..., Any]:
    """Ask an address behind which this error is raised."""

    def send(error: Callable[[], Exception], address: str = "/api/v1/broken/", **headers: str) -> Any:
        raised.append(error)
        return visitor.get(address, headers=headers)

    return send
