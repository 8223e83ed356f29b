"""The OpenAPI schema agrees with the routes, the refusals and the responses."""

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from cashback.http.openapi_problems import UNLISTED_CODES, status_by_code
from tests.api.addresses import routes
from tests.api.conftest import ROOT

# The table of codes that callers were promised, by status.
PROMISED = {
    400: {"invalid", "parse_error", "idempotency_key_required", "too_many_rows"},
    401: {"not_authenticated", "token_not_valid", "bad_credentials", "token_reused"},
    403: {"permission_denied", "scope_missing"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    409: {
        "asset_already_claimed",
        "asset_expired",
        "asset_not_available",
        "asset_not_expired",
        "already_recreated",
        "pool_sold_out",
        "pool_closed",
        "claim_limit_reached",
        "request_in_progress",
        "email_taken",
    },
    413: {"too_large"},
    415: {"unsupported_media_type"},
    422: {"idempotency_key_reused"},
    429: {"rate_limited"},
    503: {"busy"},
}
# What is named in the body or the query may not exist.
NAMING = {("post", path) for path in ("events/", "grants/", "grants/batch/", "payments/", "payments/quote/")} | {
    ("get", "wallet/"),
    ("get", "wallet/lots/"),
    ("get", "claims/"),
    ("get", "payments/"),
}
# They describe the API and are no part of it.
ABOUT = {("GET", "schema/"), ("GET", "docs/")}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def operations(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(path, method): told for path, methods in schema["paths"].items() for method, told in methods.items()}


def test_the_schema_is_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_the_schema_and_the_resolver_agree(schema: dict[str, Any]) -> None:
    told = {(method.upper(), path.removeprefix(f"{ROOT}/")) for path, method in operations(schema)}

    assert told == routes() - ABOUT


def test_every_promised_code_is_a_code_of_the_problem(schema: dict[str, Any]) -> None:
    codes = schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]

    assert set().union(*PROMISED.values()) <= set(codes)
    for status, promised in PROMISED.items():
        assert {status_by_code()[code] for code in promised} == {status}


def test_every_promised_code_is_documented_by_an_operation(schema: dict[str, Any]) -> None:
    told = {code for operation in operations(schema).values() for code in codes_of(operation)}

    # The schema itself shows the methods of an address, and 500 is not promised.
    assert set().union(*PROMISED.values()) - told == UNLISTED_CODES - {"internal_error"}
    assert set(schema["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) - told == UNLISTED_CODES


def codes_of(operation: dict[str, Any]) -> set[str]:
    return {code for codes in operation["x-problem-codes"].values() for code in codes}


def test_problems_are_shared_responses_described_by_their_codes(schema: dict[str, Any]) -> None:
    shared = schema["components"]["responses"]
    for (path, method), operation in operations(schema).items():
        problems = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
        assert problems.keys() == operation["x-problem-codes"].keys(), (path, method)
        for status, answer in problems.items():
            codes = operation["x-problem-codes"][status]
            assert answer["$ref"] == f"#/components/responses/Problem{status}"
            assert re.findall(r"`(\w+)`", answer["description"]) == codes
    for status, response in shared.items():
        assert response["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert ("Retry-After" in response.get("headers", {})) == (status in ("Problem409", "Problem429", "Problem503"))
    assert len(shared) <= 11


def test_every_operation_documents_its_errors_as_problems(schema: dict[str, Any]) -> None:
    for (path, method), operation in operations(schema).items():
        assert "busy" in codes_of(operation), path
        assert operation["summary"], path
        needs_sign_in = any(operation["security"]) and {} not in operation["security"]
        assert ("not_authenticated" in codes_of(operation)) == needs_sign_in, path
        names_something = (method, path.removeprefix(f"{ROOT}/")) in NAMING
        assert ("not_found" in codes_of(operation)) == ("{id}" in path or names_something), (path, method)


def test_claim_documents_its_responses_key_and_refusals(schema: dict[str, Any]) -> None:
    by_id = schema["paths"][f"{ROOT}/assets/{{id}}/claim/"]["post"]
    of_pool = schema["paths"][f"{ROOT}/pools/{{id}}/claim/"]["post"]

    def keys(operation: dict[str, Any]) -> list[bool]:
        return [
            bool(parameter.get("required")) for parameter in operation["parameters"] if parameter["name"] == "Idempotency-Key"
        ]

    assert {"200", "201", "409", "422", "429"} <= set(by_id["responses"])
    assert {"asset_already_claimed", "asset_expired"} <= codes_of(by_id)
    assert {"pool_sold_out", "claim_limit_reached", "idempotency_key_required"} <= codes_of(of_pool)
    assert (keys(by_id), keys(of_pool)) == ([False], [True])
    assert "Idempotency-Replayed" in of_pool["responses"]["201"]["headers"]


def test_lists_document_pagination_and_the_report_its_formats(schema: dict[str, Any]) -> None:
    for path in ("pools", "assets", "claims", "reports/ownership"):
        operation = schema["paths"][f"{ROOT}/{path}/"]["get"]
        assert {"cursor", "page_size", "ordering"} <= {parameter["name"] for parameter in operation["parameters"]}
    report = schema["paths"][f"{ROOT}/reports/ownership/"]["get"]
    formats = next(parameter for parameter in report["parameters"] if parameter["name"] == "format")
    assert formats["schema"]["enum"] == ["csv", "json"]
    assert set(report["responses"]["200"]["content"]) == {"application/json", "text/csv"}


def test_schema_is_openapi_3_1_without_sign_in(db: None, client: Client) -> None:
    answer = client.get(f"{ROOT}/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})

    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")


def test_docs_page_calls_no_other_host(db: None, client: Client) -> None:
    page = client.get(f"{ROOT}/docs/")

    assert page.status_code == 200
    assert re.findall(rb'(?:src|href)="(?:https?:)?//', page.content) == []


def test_examples_match_the_schema(schema: dict[str, Any]) -> None:
    shapes = schema["components"]["schemas"]
    for path, method, status, name in (
        (f"{ROOT}/assets/{{id}}/", "get", "200", "Asset"),
        (f"{ROOT}/pools/{{id}}/claim/", "post", "201", "Claim"),
    ):
        content = schema["paths"][path][method]["responses"][status]["content"]["application/json"]
        for example in content["examples"].values():
            assert set(shapes[name]["required"]) <= set(example["value"]) <= set(shapes[name]["properties"])
    page = schema["paths"][f"{ROOT}/assets/"]["get"]["responses"]["200"]["content"]["application/json"]
    assert all(set(example["value"]) == {"next", "previous", "results"} for example in page["examples"].values())
    assert set(shapes["Problem"]["examples"][0]) == set(shapes["Problem"]["required"])
