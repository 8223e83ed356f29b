"""Whatever the schema allows, and much that it does not, sent by everybody: never a 5xx, and only answers that it tells of.

PROVE_EXAMPLES=60 makes it thorough, PROVE_SEED throws other dice.
"""

import gc
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from accounts.models import User
from accounts.service_keys import create_key
from accounts.services import Scope, Service
from accounts.tokens import issue_pair
from cashback.wsgi import application
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.actions.pay import pay
from wallet.assets.models import CashbackAsset, CreditPool

# No schema can say which currency, cursor or password there is: what it allows may still be refused.
UNCHECKED = [positive_data_acceptance]
EXAMPLES = int(os.environ.get("PROVE_EXAMPLES", "12"))  # an operation, each sent by five callers
SEED = os.environ.get("PROVE_SEED", "2026")


def load() -> Any:
    """Return the schema, bound to the WSGI application of this process; the same cases for the same SEED."""
    generation = GenerationConfig(deterministic=True, with_security_parameters=False, max_examples=EXAMPLES)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True), config=config)
    schema.app = application
    return schema


SCHEMA = load()
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}


@pytest.fixture(autouse=True)
def _one_transaction() -> Iterator[None]:
    """Stay in the test's transaction, as Django's own test client does: the application closes it after each request."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def headers(alice: User, bob: User, ada: User) -> list[dict[str, str]]:
    """Return what an anonymous caller, a user, another user, an admin and a service send."""
    key = create_key(Service.objects.create(name="Shop"), Scope.values).text
    bearers = [f"Bearer {issue_pair(user).access}" for user in (alice, bob, ada)]
    return [{}, *({"Authorization": value} for value in (*bearers, f"Api-Key {key}"))]


@pytest.fixture
def ids(issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], alice: User, ada: User) -> list[str]:
    """Return ids of what there is: a pool, credits in each state, a claim, a payment."""
    pool = open_pool()
    free, pooled, claimed, expired = issue(), issue(pool=pool), issue(), issue()
    edit_asset.expire_asset(expired.pk, ada)
    receipt = claim_asset(claimed.pk, alice).receipt
    other_shop = Service.objects.create(name="Other shop")
    payment = pay(alice, other_shop, currency="INR", amount=Decimal(1), reference="order-1", capture=False).body["id"]
    return [receipt["id"], payment, *(str(thing.pk) for thing in (pool, free, pooled, claimed, expired))]


def assert_code_is_declared(operation: Any, answer: Any) -> None:
    """Assert that a problem has one of the codes that the operation lists for its status; nobody lists 405."""
    if answer.status_code >= 400 and answer.status_code != 405:
        declared = operation.definition.raw["x-problem-codes"]
        assert answer.json()["code"] in declared[str(answer.status_code)], (answer.status_code, answer.json())


@pytest.mark.parametrize("label", OPERATIONS)
def test_generated_requests_get_documented_responses(
    label: str, headers: list[dict[str, str]], ids: list[str], record_property: Callable[[str, object], None]
) -> None:
    record_property("proof", "P6")
    with connection.cursor() as cursor:
        # The test's transaction idles while cases are made: on a busy machine longer than a request's may.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    operation, sent = OPERATIONS[label], count()
    modes = [GenerationMode.POSITIVE]
    if operation.query or operation.body or operation.path_parameters:
        modes.append(GenerationMode.NEGATIVE)

    @seed(SEED)
    @given(case=st.one_of([operation.as_strategy(mode) for mode in modes]), known=st.sampled_from([*ids, None]))
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any, known: str | None) -> None:
        if known and "id" in case.path_parameters:
            case.path_parameters["id"] = known
        for caller in headers:
            next(sent)
            answer = case.call_and_validate(headers=caller, excluded_checks=UNCHECKED)
            assert_code_is_declared(operation, answer)
            if "Content-Disposition" in {name.title() for name in answer.headers}:
                gc.collect()  # the client does not close a file that it received, which keeps its slot

    send()
    record_property("count", next(sent))
    record_property("note", f"requests to {len(OPERATIONS)} operations")
