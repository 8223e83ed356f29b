"""Whether finance's reports agree with each other: the same sums, counted from different tables."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wallet.queries import money_reports
from wallet.queries.as_of import AsOf
from wallet.queries.journal import journal_totals

Sums = dict[str, Decimal]  # by currency
IN_JOURNAL = {
    _("Pools, and the journal"): ("pool",),
    _("Wallets and holds, and the journal"): ("wallet", "hold"),
    _("Breakage, and the journal"): ("breakage",),
    _("Merchants, and the journal"): ("merchant",),
}


@dataclass(frozen=True)
class TieOut:
    """Two sums of a currency that must be equal."""

    title: str | Promise
    currency: str
    left: Decimal
    right: Decimal

    @property
    def agrees(self) -> bool:
        """Whether they are equal."""
        return self.left == self.right


def tie_outs(as_of: AsOf) -> list[TieOut]:
    """Return the sums of the reports beside each other, per currency. Reads every report and the whole journal."""
    trial = trial_balances(as_of)
    journal = {(row.currency, row.account): row.balance for row in journal_totals(as_of)}
    pairs: list[tuple[str | Promise, Sums, Sums]] = [
        (_("Debits and credits of the trial balance"), by_currency(trial, negative=True), by_currency(trial)),
        (_("Wallets and holds, and the liability"), account_sums(trial, "wallet", "hold"), sums(as_of, "liability", "total")),
        (_("Breakage account, and the breakage report"), account_sums(trial, "breakage"), sums(as_of, "breakage", "amount")),
        (_("Merchant account, and the settlement"), account_sums(trial, "merchant"), sums(as_of, "settlement", "net")),
    ]
    pairs += [(title, account_sums(trial, *names), account_sums(journal, *names)) for title, names in IN_JOURNAL.items()]
    currencies = sorted({code for _title, left, right in pairs for code in (*left, *right)})
    return [
        TieOut(title, code, left.get(code, Decimal(0)), right.get(code, Decimal(0)))
        for code in currencies
        for title, left, right in pairs
    ]


def trial_balances(as_of: AsOf) -> dict[tuple[str, str], Decimal]:
    """Return the balance of each account by currency and account."""
    lines = money_reports.trial_balance(as_of)
    return {(line["currency"], line["account"]): Decimal(line["credit"]) - Decimal(line["debit"]) for line in lines}


def by_currency(balances: dict[tuple[str, str], Decimal], *, negative: bool = False) -> Sums:
    """Return the sum of the credits, or of the debits, per currency."""
    found: Sums = defaultdict(Decimal)
    for (currency, _account), balance in balances.items():
        found[currency] += max(-balance if negative else balance, Decimal(0))
    return found


def account_sums(balances: dict[tuple[str, str], Any], *accounts: str) -> Sums:
    """Return the balance of some accounts together, per currency."""
    found: Sums = defaultdict(Decimal)
    for (currency, account), balance in balances.items():
        found[currency] += balance if account in accounts else 0
    return found


def sums(as_of: AsOf, report: str, column: str) -> Sums:
    """Return the sum of a report's column, per currency."""
    found: Sums = defaultdict(Decimal)
    for line in money_reports.REPORTS[report](as_of):
        found[line["currency"]] += Decimal(line[column])
    return found
