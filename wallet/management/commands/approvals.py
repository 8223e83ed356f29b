"""`manage.py approvals`: list what waits for another operator, approve it, or refuse it."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from kernel.refusals import Refusal
from kernel.timestamps import format_minute
from wallet.actions.decide_proposal import approve_proposal, refuse_proposal
from wallet.actions.preview_proposal import preview_proposal
from wallet.ledger.models import Proposal, ProposalState
from wallet.management import output
from wallet.management.base_command import BaseCommand, error_sentence
from wallet.management.operators import add_operator_argument, find_operator
from wallet.money import format_amount
from wallet.queries.proposals import IN_STATE, listed_proposals

COLUMNS = ("proposal", "kind", "amount", "pool", "proposed by", "proposed (UTC)", "expires (UTC)")


class Command(BaseCommand):
    """Lists proposals, or decides one in the name of an operator."""

    help = "List proposals that need another operator, approve them, or refuse them with a reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, help="what to do")
        verbs.add_parser("list", help="list pending proposals")
        approve = verbs.add_parser("approve", help="approve a proposal and carry it out")
        refuse = verbs.add_parser("refuse", help="refuse a proposal")
        for each in (approve, refuse):
            each.add_argument("proposal", metavar="ID", type=UUID)
            add_operator_argument(each, required=True)
        approve.add_argument("--reason", default="", metavar="TEXT")
        approve.add_argument("--file", metavar="FILE", type=Path, help="the file of an import that was too large to store")
        approve.add_argument("--dry-run", action="store_true", help="only show what an approval would do")
        refuse.add_argument("--reason", required=True, metavar="TEXT")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self.list_waiting()
            return
        decider = find_operator(options["operator"])
        assert decider is not None
        if verb == "refuse":
            refuse_proposal(options["proposal"], decider, options["reason"])
            self.stdout.write("Refused. Nothing was done.")
        elif options["dry_run"]:
            self.preview(options["proposal"])
        else:
            approved = approve_proposal(options["proposal"], decider, options["reason"], options["file"])
            self.stdout.write(self.style.SUCCESS(f"Approved, and done: {approved.kind} {approved.result}."))

    def list_waiting(self) -> None:
        """Write a table of what waits."""
        waiting = listed_proposals().filter(IN_STATE[ProposalState.PENDING])
        output.write_table(self.stdout, COLUMNS, [row_of(proposal) for proposal in waiting], right=("amount",))

    def preview(self, proposal_id: UUID) -> None:
        """Write what an approval would do now. Raises CommandError when it would be refused."""
        proposal = listed_proposals().filter(pk=proposal_id).first()
        if proposal is None:
            raise CommandError("Proposal not found.", returncode=2)
        try:
            effect = preview_proposal(proposal)
        except (Refusal, ValidationError) as error:
            raise CommandError(f"It would be refused: {error_sentence(error)}") from error
        facts = ", ".join(f"{name} {value}" for name, value in effect.items())
        self.stdout.write(f"{proposal.kind} would be done: {facts} (dry run, nothing changed).")


def row_of(proposal: Proposal) -> tuple[object, ...]:
    """Return a proposal as a row of the table."""
    amount = "" if proposal.amount is None else format_amount(proposal.amount, proposal.currency)
    proposer = proposal.proposed_by.email if proposal.proposed_by else proposal.service
    times = (format_minute(proposal.proposed_at), format_minute(proposal.expires_at))
    return (proposal.pk, proposal.kind, f"{amount} {proposal.currency}".strip(), proposal.pool, proposer, *times)
