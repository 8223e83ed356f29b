"""Approvals through the API, the console and the commands: every interface that issues, grants or changes waits."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.service_keys import create_key
from accounts.services import Scope, Service
from tests.admin.conftest import form_data, message_texts
from tests.api.conftest import Caller
from tests.approvals.conftest import proposal_of
from tests.approvals.test_actions import issue_two
from tests.payments.conftest import post, problem, with_key
from wallet.actions.edit_asset import expire_asset
from wallet.actions.grant_credit import grant_credit
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, Lot, Proposal, ProposalKind

pytestmark = pytest.mark.django_db(transaction=True)
Dear = Callable[..., None]
LIST = reverse("admin:ledger_proposal_changelist")


@pytest.fixture
def console(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


@pytest.fixture
def other_console(grace: User) -> Client:
    browser = Client()
    browser.force_login(grace)
    return browser


# --- API -------------------------------------------------------------------------------------------------------------------


def test_every_route_answers_202_with_the_proposal_above_the_threshold(
    as_ada: Caller, pool: CreditPool, lot: Lot, dear: Dear
) -> None:
    dear()
    expired = CashbackAsset.objects.create(title="Old", total_value=90, currency="INR", pool=pool)
    expire_asset(expired.pk, None)
    gift = {"user": "alice@example.com", "pool": str(pool.pk), "reference": "ticket-1", "reason": "goodwill"}
    requests: list[tuple[str, dict[str, Any], ProposalKind]] = [
        ("grants/", gift, ProposalKind.GRANT),
        (f"claims/{lot.pk}/clawback/", {"reason": "fraud"}, ProposalKind.CLAWBACK),
        (f"claims/{lot.pk}/extend/", {"reason": "goodwill", "until": "2099-01-01T00:00:00Z"}, ProposalKind.EXTEND),
        (f"pools/{pool.pk}/issue/", {"count": 2, "title": "Tea", "total_value": "60.00"}, ProposalKind.ISSUE),
        ("assets/", {"title": "Tea", "total_value": "101.00", "pool": str(pool.pk)}, ProposalKind.ISSUE),
        (f"assets/{expired.pk}/recreate/", {"total_value": "101.00"}, ProposalKind.RECREATE),
    ]
    before = (Entry.objects.count(), CashbackAsset.objects.count())

    for path, body, kind in requests:
        answer = post(as_ada, path, body, uuid4().hex)
        assert (answer.status_code, answer.json()["kind"], answer.json()["state"]) == (202, kind, "PENDING"), answer.content
    answer = as_ada.patch(f"/api/v1/pools/{pool.pk}/", {"approval_threshold": None})
    assert (answer.status_code, answer.json()["kind"], answer.json()["amount"]) == (202, "THRESHOLD", None)

    assert (Entry.objects.count(), CashbackAsset.objects.count()) == before


def test_a_service_is_answered_202_without_operators_names(
    ada: User, pool: CreditPool, dear: Dear, shop: Service, alice: User
) -> None:
    dear()
    caller = with_key(create_key(shop, [Scope.GRANT]).text)
    gift = {"user": str(alice.pk), "pool": str(pool.pk), "reference": "ticket-1", "reason": "goodwill"}

    answer = post(caller, "grants/", gift)

    assert answer.status_code == 202
    assert {"proposed_by", "decided_by", "parameters"}.isdisjoint(answer.json())


def test_operators_list_approve_and_refuse(ada: User, as_ada: Caller, as_grace: Caller, pool: CreditPool) -> None:
    first, second = (proposal_of(issue_two, ada, pool, key=letter * 20) for letter in "ab")

    listed = as_grace.get("/api/v1/proposals/?state=PENDING&kind=ISSUE").json()["results"]
    assert [line["id"] for line in listed] == [str(second.pk), str(first.pk)]
    assert listed[0]["proposed_by"] == {"id": str(ada.pk), "email": ada.email}
    assert problem(post(as_ada, f"proposals/{first.pk}/approve/")) == (403, "own_proposal")
    approved = post(as_grace, f"proposals/{first.pk}/approve/", {"reason": "fine"})
    assert (approved.status_code, approved.json()["state"], approved.json()["decision_reason"]) == (200, "APPROVED", "fine")
    refused = post(as_grace, f"proposals/{second.pk}/refuse/", {"reason": "too much"})
    assert (refused.status_code, refused.json()["state"], refused.json()["result"]) == (200, "REFUSED", None)
    assert problem(post(as_grace, f"proposals/{second.pk}/approve/")) == (409, "proposal_decided")
    assert problem(post(as_grace, f"proposals/{second.pk}/refuse/")) == (400, "invalid")
    assert problem(post(as_grace, f"proposals/{uuid4()}/approve/")) == (404, "not_found")
    assert as_grace.get(f"/api/v1/proposals/{first.pk}/").json()["decided_by"]["email"] == "grace@example.com"


def test_wrong_filters_are_refused(as_ada: Caller) -> None:
    for query in ("state=MAYBE", "kind=X", "pool=1", "who=me"):
        assert as_ada.get(f"/api/v1/proposals/?{query}").status_code == 400, query


def test_a_list_of_proposals_takes_one_query(
    ada: User, as_ada: Caller, pool: CreditPool, django_assert_num_queries: Any
) -> None:
    for letter in "abc":
        proposal_of(issue_two, ada, pool, key=letter * 20)
    as_ada.get("/api/v1/proposals/")

    with django_assert_num_queries(2):  # the caller, the list
        as_ada.get("/api/v1/proposals/")


def test_a_dearer_value_is_409(as_ada: Caller, ada: User, pool: CreditPool) -> None:
    asset = CashbackAsset.objects.create(title="Tea", total_value=90, currency="INR", pool=pool)

    assert problem(as_ada.patch(f"/api/v1/assets/{asset.pk}/", {"total_value": "101.00"})) == (409, "approval_required")


def test_an_issue_is_previewed_with_whether_it_waits(as_ada: Caller, pool: CreditPool) -> None:
    body = {"count": 2, "title": "Tea", "total_value": "60.00", "preview": True}

    answer = post(as_ada, f"pools/{pool.pk}/issue/", body, uuid4().hex)

    assert answer.status_code == 200
    assert (answer.json()["total"], answer.json()["needs_approval"]) == ("120.00", True)
    assert (CashbackAsset.objects.count(), Proposal.objects.count()) == (0, 0)


# --- Console ---------------------------------------------------------------------------------------------------------------


def test_the_console_says_that_an_issue_waits_and_another_operator_approves_it(
    console: Client, other_console: Client, pool: CreditPool
) -> None:
    url = reverse("admin:assets_creditpool_issue", args=[pool.pk])
    form = {"key": "k" * 20, "count": "2", "title": "Tea", "total_value": "60.00", "confirmed": "yes"}
    console.post(url, form)
    proposal = Proposal.objects.get()
    page = reverse("admin:ledger_proposal_change", args=[proposal.pk])

    own = console.get(page).content.decode()
    assert "another operator decides" in own
    assert "Approve</button>" not in own
    assert "1 action waits for approval." in console.get(reverse("admin:index")).content.decode()
    shown = other_console.get(page)
    assert shown.context["effect"] == {"facts": [("Credits", 2), ("Amount", "120.00")], "refusal": None}
    answer = other_console.post(reverse("admin:ledger_proposal_decide", args=[proposal.pk]), {"decision": "approve"})

    assert message_texts(answer) == ["Approved, and done."]
    assert CashbackAsset.objects.count() == 2
    done = other_console.get(page).content.decode()
    assert "grace@example.com" in done
    assert str(reverse("admin:assets_batch_change", args=[Proposal.objects.get().result])) in done
    assert other_console.get(f"{LIST}?state=APPROVED").status_code == 200
    assert other_console.get(f"{LIST}?state=MAYBE").status_code == 400


def test_the_console_refuses_with_a_reason_and_not_by_who_proposed(
    console: Client, other_console: Client, ada: User, pool: CreditPool
) -> None:
    proposal = proposal_of(issue_two, ada, pool)
    decide = reverse("admin:ledger_proposal_decide", args=[proposal.pk])

    assert "can't decide this proposal" in message_texts(console.post(decide, {"decision": "approve"}))[0]
    assert message_texts(other_console.post(decide, {"decision": "refuse"})) == ["Give a reason."]
    said = message_texts(other_console.post(decide, {"decision": "refuse", "reason": "no"}))
    assert said[-1] == "Refused. Nothing was done."
    assert Proposal.objects.get().approved is False


def test_each_form_of_the_console_leads_to_its_proposal(
    console: Client, pool: CreditPool, lot: Lot, dear: Dear, alice: User
) -> None:
    dear()
    key = {"key": "k" * 20, "confirmed": "yes"}
    forms: list[tuple[str, dict[str, Any]]] = [
        (reverse("customer_grant", args=[alice.pk]), {"pool": pool.pk, "reference": "t-1", "reason": "goodwill"} | key),
        (reverse("admin:ledger_entry_clawback", args=[lot.pk]), {"reason": "fraud"} | key),
        (
            reverse("admin:ledger_entry_extend", args=[lot.pk]),
            {"reason": "goodwill", "until_0": "2099-01-01", "until_1": "00:00:00"} | key,
        ),
    ]
    for url, data in forms:
        answer = console.post(url, data)
        proposal = Proposal.objects.latest("id")
        assert answer.headers.get("Location") == reverse("admin:ledger_proposal_change", args=[proposal.pk]), answer.content
        assert console.get(answer.headers["Location"]).status_code == 200

    assert Proposal.objects.count() == 3


def test_a_threshold_is_removed_in_the_console_by_two(console: Client, other_console: Client, pool: CreditPool) -> None:
    page = reverse("admin:assets_creditpool_change", args=[pool.pk])
    data = form_data(console.get(page), "creditpool_form") | {"approval_threshold": ""}

    answer = console.post(page, data)

    proposal = Proposal.objects.get()
    assert answer.headers["Location"] == reverse("admin:ledger_proposal_change", args=[proposal.pk])
    other_console.post(reverse("admin:ledger_proposal_decide", args=[proposal.pk]), {"decision": "approve"})
    pool.refresh_from_db()
    assert pool.approval_threshold is None


def test_an_import_in_the_console_waits(console: Client, other_console: Client, pool: CreditPool) -> None:
    content = f"title,total_value,currency,pool\nTea,101,,{pool.name}\n".encode()
    upload = console.post(reverse("admin:assets_cashbackasset_import"), {"file": SimpleUploadedFile("credits.csv", content)})
    answer = console.post(reverse("admin:assets_cashbackasset_import_confirm"), {"key": upload.context["key"]})

    proposal = Proposal.objects.get()
    assert answer.headers["Location"] == reverse("admin:ledger_proposal_change", args=[proposal.pk])
    other_console.post(reverse("admin:ledger_proposal_decide", args=[proposal.pk]), {"decision": "approve"})
    assert CashbackAsset.objects.values_list("title", flat=True).get() == "Tea"


def test_what_can_no_longer_be_done_is_said_before_it_is_tried(
    other_console: Client, ada: User, alice: User, pool: CreditPool, dear: Dear
) -> None:
    dear()
    gift = {"reference": "ticket-1", "reason": "goodwill"}
    proposal = proposal_of(grant_credit, alice, pool.pk, actor=ada, **gift)
    expire_asset(CashbackAsset.objects.get().pk, ada)

    page = other_console.get(reverse("admin:ledger_proposal_change", args=[proposal.pk])).content.decode()

    assert "All credits of this pool have been claimed" in page
    assert "Approve</button>" not in page


# --- Commands --------------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_an_import_by_command_waits_and_is_approved_by_command(
    ada: User, grace: User, pool: CreditPool, tmp_path: Path
) -> None:
    path = tmp_path / "credits.csv"
    path.write_text(f"title,total_value,currency,pool\nTea,101,,{pool.name}\n")
    with pytest.raises(CommandError, match="--as EMAIL"):
        run("import_assets", str(path))

    said = run("import_assets", str(path), "--as", "ada@example.com")

    proposal = Proposal.objects.get()
    assert "waits for another operator" in said
    assert str(proposal.pk) in run("approvals", "list")
    with pytest.raises(CommandError, match="can't decide"):
        run("approvals", "approve", str(proposal.pk), "--as", "ada@example.com")
    dry = run("approvals", "approve", str(proposal.pk), "--as", "grace@example.com", "--dry-run")
    assert (dry, CashbackAsset.objects.count()) == ("IMPORT would be done: count 1 (dry run, nothing changed).\n", 0)
    assert "Approved, and done" in run("approvals", "approve", str(proposal.pk), "--as", "grace@example.com")
    assert CashbackAsset.objects.count() == 1


def test_a_command_acts_only_for_an_operator(ada: User, alice: User, pool: CreditPool) -> None:
    proposal = proposal_of(issue_two, ada, pool)

    with pytest.raises(CommandError, match="No active operator"):
        run("approvals", "refuse", str(proposal.pk), "--as", "alice@example.com", "--reason", "no")
    assert Proposal.objects.get().decided_at is None
