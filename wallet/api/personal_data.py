"""/me/data/: everything that is stored about the caller."""

from typing import ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from accounts.expensive_reads import PERSONAL_DATA, ExpensiveRead
from kernel.file_download import json_file_response
from kernel.openapi import operation
from kernel.rate_limits import RateLimited
from wallet.api.viewsets import BaseViewSet
from wallet.queries.personal_data import personal_data_json


class PersonalDataViewSet(BaseViewSet):
    """The caller's data."""

    permissions: ClassVar = {"list": IsAuthenticated}
    pagination_class = None
    filter_backends = ()

    def expensive_read(self) -> ExpensiveRead | None:
        """Return PERSONAL_DATA."""
        return PERSONAL_DATA if self.action == "list" else None

    @operation(
        "Download the caller's data",
        RateLimited,
        tags=["me"],
        operation_id="me_data_retrieve",
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Return a JSON file with profile, sign-ins, claims, payments and changes. Limited to 5 files per hour and user."""
        return json_file_response("my-data.json", personal_data_json(self.user))
