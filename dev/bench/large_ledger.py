"""Payments on a large ledger beside payments on a small one."""

import contextlib

from dev.bench.claims_http import warm_server
from dev.bench.environment import BenchEnvironment
from dev.bench.payments import LARGE_CREDIT, PAYMENTS, QUICK_PAYMENTS, open_shop
from dev.bench.results import Figure
from dev.bench.tables import Tables
from dev.bench.wallets import fill_wallets, open_payable_pool

LARGE = Tables(5_500_000, 5_000_000, people=20_000, payments=1_000_000)
QUICK_LARGE = Tables(60_000, 50_000, people=1_000, payments=10_000)
SMALL = Tables(6_000, 5_000, people=1_000, payments=1_000)
KEPT = 0.9


def bench_large_ledger(environment: BenchEnvironment) -> list[Figure]:
    """Pay by turns with many and with few lots in the tables."""
    size = environment.size(PAYMENTS, QUICK_PAYMENTS)
    tables = QUICK_LARGE if environment.quick else LARGE
    with contextlib.ExitStack() as stack:
        on = {}
        for name, made in (("large", tables), ("small", SMALL)):
            environment.report_progress(f"making {made.entries:,} lots and {made.payments:,} payments")
            shop = open_shop(environment, f"ledger_{name}", made)
            fill_wallets(open_payable_pool("Large credits"), len(shop.payers), LARGE_CREDIT)
            on[name] = (shop, stack.enter_context(warm_server()).port)
        environment.undisturbed(lambda: [shop.pay(port, size // 10) for shop, port in on.values()])

        def rate(name: str) -> float:
            shop, port = on[name]
            return shop.pay(port, size)

        rates = environment.alternate(lambda: rate("large"), lambda: rate("small"))
    what = (
        f"payments with {tables.entries:,} lots and {tables.payments:,} payments in the tables, beside {SMALL.entries:,} lots"
    )
    return [Figure(what, KEPT, "more", rates, "payments/s")]
