"""The examples of docs/webhooks.md have the form of what is really sent."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from accounts.models import User
from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver
from tests.delivery.conftest import all_events, issue_to
from tests.delivery.test_ending_credits import midnight_in, run_morning
from tests.delivery.test_feed import bound_pool, live_through_everything  # noqa: F401  (a fixture)
from tests.money.conftest import end_credit, soon
from tests.notices.conftest import end_at
from wallet.actions import edit_webhook
from wallet.actions.edit_webhook import NewSecret
from wallet.actions.extend_lot import extend_lot
from wallet.actions.grant_credit import grant_credit
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.record_notices import record_notices
from wallet.api.webhooks import NewWebhookSerializer, WebhookBody
from wallet.assets.models import CreditPool
from wallet.delivery.event_types import EVENT_TYPES, TEST_EVENT
from wallet.delivery.messages import event_body
from wallet.delivery.models import WEBHOOK_STATES
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"


def examples() -> dict[str, Any]:
    """Return the examples of the page by event type."""
    found = [json.loads(text) for text in re.findall(r"```json\n(\{.*?\})\n```", PAGE.read_text(), re.DOTALL)]
    return {example["type"]: example for example in found if "type" in example}


def shape(value: Any) -> Any:
    """Return the names and JSON types of a message; null may stand for any value."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return None if value is None else type(value).__name__


def fits(example: Any, sent: Any) -> bool:
    """Return whether a message has the form of the example."""
    if isinstance(example, dict) and isinstance(sent, dict):
        return example.keys() == sent.keys() and all(fits(example[name], sent[name]) for name in sent)
    return sent is None or example is None or type(example) is type(sent)


def test_every_type_has_one_example_that_fits_what_is_sent(  # noqa: PLR0917
    ada: User,
    alice: User,
    shop: Service,
    bound_pool: CreditPool,  # noqa: F811
    open_pool: Callable[..., CreditPool],
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
) -> None:
    receiver = start_receiver()
    edit_webhook.send_test_event(add(receiver).endpoint)
    live_through_everything(ada, alice, shop, bound_pool)
    pool = open_pool(valid_until=soon(days=1))
    issue_to(pool, ada, 1, "Bonus")
    record_notices()
    claim = UUID(grant_credit(alice, pool.pk, reference="t", reason="goodwill", service=shop, actor=None).body["id"])
    extend_lot(claim, until=soon(days=3), reason="goodwill", actor=ada)
    end_at(Lot.objects.get(pk=claim), midnight_in(2))
    run_morning()
    end_credit(Lot.objects.get(pk=claim))
    lapse_ended_credits()
    sent = [event_body(event) for event in all_events(shop)] + receiver.received

    documented = examples()

    assert sorted(documented) == sorted({*EVENT_TYPES, TEST_EVENT})
    assert {message["type"] for message in sent} == documented.keys()
    for message in sent:
        example = documented[message["type"]]
        assert fits(example, message), (shape(example), shape(message))


def test_the_example_of_a_new_webhook_has_the_fields_of_the_api() -> None:
    created = next(
        json.loads(text) for text in re.findall(r"```json\n(\{.*?\})\n```", PAGE.read_text(), re.DOTALL) if "secret" in text
    )

    assert tuple(created) == NewWebhookSerializer.Meta.fields
    assert created["state"] in WEBHOOK_STATES
    assert {*created["event_types"]} <= {*EVENT_TYPES}


def test_the_body_of_a_new_webhook_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert explained == list(WebhookBody().fields)
