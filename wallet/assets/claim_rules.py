"""The rules of a claim that PostgreSQL and Python both apply, each written once as SQL.

The claim trigger, the statements of a claim and the ORM's lists all use these texts, so that they cannot disagree. They are no
SQL functions: PostgreSQL does not inline a function with a pinned search_path (invariant I25), and each claim would call it.
"""

from string import Formatter
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, DecimalField, F, Func, IntegerField, UUIDField, Value
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler

# Whether a pool accepts claims at the time {at}: active and within its window, which excludes its end.
POOL_IS_OPEN = "({is_active} AND {opens_at} <= {at} AND ({closes_at} IS NULL OR {at} < {closes_at}))"
# How many of its claims a user has made in a pool: slots are given out from 1 upwards and never freed. The last slot at or
# before the user's greatest possible one, in the order of the unique index asset_claim_slot, is the user's last one if it is
# theirs. No other index has this order or this condition. With `max(claim_slot)` of the user's credits in the pool the planner
# could take the index of owners, which without statistics looks as cheap and reads all credits of the user.
CLAIMS_MADE = (
    "coalesce((SELECT latest.claim_slot FROM ("
    "SELECT slot.claimed_by_id, slot.claim_slot FROM assets_cashbackasset AS slot"
    " WHERE slot.pool_id = {pool} AND (slot.claimed_by_id, slot.claim_slot) <= ({user}, 2147483647)"
    " ORDER BY slot.claimed_by_id DESC, slot.claim_slot DESC LIMIT 1"
    ") AS latest WHERE latest.claimed_by_id = {user}), 0)"
)

# Whether a user has made all the claims of a pool that one period allows: a claim needs that the claim `limit` slots before it
# was made in an earlier day, week or month of the pool's time zone. Slots have no gaps and are given out in the order of time:
# one probe of the index asset_claim_slot decides, and nothing is counted. Periods are compared as the clocks of the zone show
# them, whatever their length.
PERIOD_IS_FULL = (
    "EXISTS (SELECT FROM assets_cashbackasset AS slot WHERE slot.pool_id = {pool} AND slot.claimed_by_id = {user}"
    " AND slot.claim_slot = {slot} - {limit}"
    " AND date_trunc({period}, slot.claimed_at AT TIME ZONE {zone}) >= date_trunc({period}, {at} AT TIME ZONE {zone}))"
)
# The first time of the period after that of the time {at}.
NEXT_PERIOD = "((date_trunc({period}, {at} AT TIME ZONE {zone}) + ('1 ' || {period})::interval) AT TIME ZONE {zone})"

# What a pool has given of its budget: the credits that can be claimed, now or later, or were claimed. Expired and deleted ones
# are free again.
COMMITTED_VALUE = (
    "coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter"
    " WHERE counter.pool_id = {pool} AND counter.status IN ('AVAILABLE', 'SCHEDULED', 'CLAIMED')), 0)"
)
# Credits of one pool that can be claimed now, and the order in which they are claimed.
CLAIMABLE_SQL = "status = 'AVAILABLE' AND (expires_at IS NULL OR expires_at > statement_timestamp())"
QUEUE_ORDER_SQL = "expires_at ASC NULLS LAST, id"


def pool_is_open_sql(pool: str, at: str) -> str:
    """Return SQL for whether the pool accepts claims.

    Arguments:
        pool: the alias of assets_creditpool.
        at: SQL of the time that decides.
    """
    columns = {name: f"{pool}.{name}" for name in ("is_active", "opens_at", "closes_at")}
    return POOL_IS_OPEN.format(at=at, **columns)


class RuleExpression(Func):
    """One of the texts above in the ORM: `template` is the text, `places` names its places in the order of the arguments."""

    template: str
    places: tuple[str, ...]

    def as_sql(
        self,
        compiler: SQLCompiler,
        connection: BaseDatabaseWrapper,
        function: str | None = None,
        template: str | None = None,
        arg_joiner: str | None = None,
        **extra_context: Any,
    ) -> tuple[str, tuple[str | int, ...]]:
        """Return the text with the arguments in their places, and the parameters in the order of the text."""
        arguments = dict(zip(self.places, map(compiler.compile, self.get_source_expressions()), strict=True))
        sql = ""
        parameters: list[Any] = []
        for literal, place, *_rest in Formatter().parse(self.template):
            argument, values = arguments[place] if place else ("", ())
            sql += literal + argument
            parameters += values
        return sql, tuple(parameters)


class PoolIsOpen(RuleExpression):
    """Whether the pool of a row of CreditPool accepts claims now, by the database's clock at the start of the statement."""

    template = POOL_IS_OPEN
    places = ("is_active", "opens_at", "closes_at", "at")
    output_field = BooleanField()

    def __init__(self) -> None:
        super().__init__(F("is_active"), F("opens_at"), F("closes_at"), Now())


class ClaimsMade(RuleExpression):
    """How many claims a user has made in the pool of a row of CreditPool."""

    template = CLAIMS_MADE
    places = ("pool", "user")
    output_field = IntegerField()

    def __init__(self, user_id: UUID) -> None:
        super().__init__(F("pk"), Value(user_id, UUIDField()))


class CommittedValue(RuleExpression):
    """What a row of CreditPool has given of its budget."""

    template = COMMITTED_VALUE
    places = ("pool",)
    output_field = DecimalField()

    def __init__(self) -> None:
        super().__init__(F("pk"))


class PeriodIsFull(RuleExpression):
    """Whether a user has made all the claims of a row of CreditPool that this day, week or month allows."""

    template = PERIOD_IS_FULL.replace("{slot}", f"({CLAIMS_MADE} + 1)")
    places = ("pool", "user", "limit", "period", "zone", "at")
    output_field = BooleanField()

    def __init__(self, user_id: UUID) -> None:
        user = Value(user_id, UUIDField())
        super().__init__(F("pk"), user, F("period_limit"), F("limit_period"), F("time_zone"), Now())
