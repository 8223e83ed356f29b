"""The plan of a race of payments."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaymentPlan:
    """One race: all clients spend each wallet in turn until it is empty, then they take orders through all their steps.

    Arguments:
        wallets, lots: how many wallets, and of how many credits each.
        connections: how many clients ask at the same time.
        orders: how many whole orders each client makes: hold, captures, release, refunds, from wallets that all share.
        seed: the same seed gives the same order of requests.
    """

    wallets: int
    lots: int
    connections: int
    orders: int
    seed: int
    http: bool = False
    without_lock: bool = False

    @property
    def rounds(self) -> int:
        """How many times all clients are released at once."""
        return self.wallets + 1

    @property
    def payable(self) -> int:
        """How many payments empty one wallet, so that too little for another is left."""
        return self.lots * LOT_VALUE // PRICE

    @property
    def tries(self) -> int:
        """How often each client tries to pay from each wallet: together more often than it can pay."""
        return self.payable // self.connections + 2


LOT_VALUE = 10  # of each credit, in whole units of the currency
PRICE = 7  # of each order: no credit pays one alone, so that payments share credits
