"""Serializers of responses. They format fields and decide nothing."""

from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import User
from wallet.assets.batches import Batch
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool, LimitPeriod, PoolKind
from wallet.ledger.models import Entry
from wallet.money import format_amount
from wallet.queries import batches, ownership

Shape = serializers.Serializer[Any]


ASSET_EXAMPLE = {
    "id": "0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11",
    "title": "Diwali cashback",
    "total_value": "100.00",
    "currency": "INR",
    "status": "AVAILABLE",
    "pool": "0192f0c1-0a51-7d0c-8f43-6a1d2f5e9b20",
    "expires_at": "2027-03-31T18:30:00Z",
    "claimable_from": None,
    "claimed_by_me": False,
    "recreated_from": None,
    "generation": 1,
    "created_at": "2026-11-01T09:00:00Z",
}
CLAIM_EXAMPLE = {
    "id": "0192f0c2-19d4-7f3b-a6c8-5b7d1e0c4d32",
    "asset": ASSET_EXAMPLE["id"],
    "title": "Diwali cashback",
    "amount": "100.00",
    "currency": "INR",
    "claimed_at": "2026-11-01T09:30:00.123456Z",
}


class OwnerSerializer(Shape):
    """The owner of a credit, for an ADMIN."""

    id = serializers.UUIDField()
    email = serializers.EmailField()


class AdminFieldsSerializer(Shape):
    """Returns `admin_fields` to an ADMIN only."""

    admin_fields: ClassVar[tuple[str, ...]] = ()

    def get_fields(self) -> dict[str, Any]:
        """Return the fields that the caller may see, or all of them for the schema."""
        fields = super().get_fields()
        if not getattr(self.context["view"], "swagger_fake_view", False) and not self.context["request"].user.is_admin:
            for name in self.admin_fields:
                del fields[name]
        return fields


class PoolAmountField(serializers.CharField):
    """An amount of a pool with the decimals of its currency, or null."""

    def get_attribute(self, instance: CreditPool) -> str | None:
        """Return the amount as text."""
        amount: Any = super().get_attribute(instance)
        return None if amount is None else format_amount(amount, instance.currency)


class PoolSerializer(AdminFieldsSerializer):
    """A pool, and whether the caller can claim from it now."""

    admin_fields = (
        *("is_active", "time_zone", "archived_at", "budget", "credit_title", "credit_value", "credit_lifetime"),
        *("approval_threshold", "grants_only"),
    )

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=PoolKind.choices)
    currency = serializers.CharField()
    per_user_limit = serializers.IntegerField(allow_null=True)
    period_limit = serializers.IntegerField(allow_null=True, help_text="How many credits each user may claim per limit_period.")
    limit_period = serializers.ChoiceField(choices=LimitPeriod.choices, help_text="By the calendar of the pool's time zone.")
    opens_at = serializers.DateTimeField()
    closes_at = serializers.DateTimeField(allow_null=True)
    available = serializers.IntegerField(help_text="Number of credits that can be claimed now.")
    can_claim = serializers.BooleanField(help_text="Whether the caller can claim one now.")
    is_active = serializers.BooleanField(required=False, help_text="ADMIN only.")
    grants_only = serializers.BooleanField(
        required=False, help_text="ADMIN only. true: users do not see the pool, and its credits are only granted."
    )
    time_zone = serializers.CharField(required=False, help_text="ADMIN only.")
    archived_at = serializers.DateTimeField(required=False, allow_null=True, help_text="ADMIN only. null: not archived.")
    budget = PoolAmountField(required=False, allow_null=True, help_text="ADMIN only. null: credits are issued by hand.")
    credit_title = serializers.CharField(required=False, help_text="ADMIN only. Title of credits issued on demand.")
    credit_value = PoolAmountField(
        required=False, allow_null=True, help_text="ADMIN only. Value of each credit issued on demand."
    )
    credit_lifetime = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="ADMIN only. How long credits issued on demand can be claimed; null: for ever.",
    )
    approval_threshold = PoolAmountField(
        required=False,
        allow_null=True,
        help_text="ADMIN only. What is worth more waits for another operator; null: nothing does.",
    )


@extend_schema_serializer(examples=[OpenApiExample("A credit on offer", ASSET_EXAMPLE, response_only=True)])
class AssetSerializer(AdminFieldsSerializer):
    """A credit with its current status."""

    admin_fields = ("claimed_by", "claimed_at", "batch")

    id = serializers.UUIDField()
    title = serializers.CharField()
    total_value = serializers.SerializerMethodField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(source="current_status", choices=AssetStatus.choices)
    pool = serializers.UUIDField(source="pool_id", allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Expiry time (exclusive); null if it never expires.")
    claimable_from = serializers.DateTimeField(allow_null=True, help_text="SCHEDULED until then; null: claimable when issued.")
    claimed_by_me = serializers.SerializerMethodField()
    recreated_from = serializers.UUIDField(source="recreated_from_id", allow_null=True)
    generation = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    claimed_by = OwnerSerializer(required=False, allow_null=True, help_text="ADMIN only.")
    claimed_at = serializers.DateTimeField(required=False, allow_null=True, help_text="ADMIN only.")
    batch = serializers.UUIDField(source="batch_id", required=False, allow_null=True, help_text="ADMIN only.")

    def get_total_value(self, asset: CashbackAsset) -> str:
        """Return the exact amount with the decimals of its currency."""
        return format_amount(asset.total_value, asset.currency)

    def get_claimed_by_me(self, asset: CashbackAsset) -> bool:
        """Return whether the caller owns the credit."""
        user: User = self.context["request"].user
        return asset.claimed_by_id == user.pk


@extend_schema_serializer(examples=[OpenApiExample("A claim", CLAIM_EXAMPLE, response_only=True)])
class ClaimSerializer(Shape):
    """A claim, identical to the receipt that its owner got."""

    id = serializers.UUIDField()
    asset = serializers.UUIDField()
    title = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    claimed_at = serializers.DateTimeField(help_text="Time of the claim (database clock).")
    user = OwnerSerializer(required=False, help_text="ADMIN only, in lists and by id.")

    def to_representation(self, entry: Entry) -> dict[str, Any]:
        """Return the receipt, and the owner for an ADMIN."""
        user: User = self.context["request"].user
        return entry.receipt() | ({"user": {"id": str(entry.user_id), "email": entry.user.email}} if user.is_admin else {})


class IssuePreviewSerializer(Shape):
    """What an issue would make."""

    count = serializers.IntegerField()
    total_value = serializers.CharField(help_text="The value of each.")
    total = serializers.CharField(help_text="The value of all.")
    currency = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    starts_at = serializers.DateTimeField(allow_null=True, help_text="When the first can be claimed; null: at once.")
    last_starts_at = serializers.DateTimeField(allow_null=True, help_text="When the last can be claimed; null: at once.")
    needs_approval = serializers.BooleanField(help_text="Whether it would wait for another operator.")


class IssuedSerializer(Shape):
    """The number of credits that a call issued, and their batch."""

    issued = serializers.IntegerField()
    batch = serializers.UUIDField(allow_null=True, help_text="null in the replay of a response that had none.")


class OwnershipSerializer(Shape):
    """One credit and its owner."""

    asset = serializers.UUIDField()
    title = serializers.CharField()
    value = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=AssetStatus.choices)
    owner = serializers.EmailField(allow_null=True)
    claimed_at = serializers.DateTimeField(allow_null=True)
    pool = serializers.CharField(allow_null=True)

    def to_representation(self, asset: CashbackAsset) -> dict[str, Any]:
        """Return the row of the report."""
        return ownership.ownership_row(asset)


class FigureSerializer(Shape):
    """The number of credits and their total value."""

    count = serializers.IntegerField()
    value = serializers.CharField()


class NamedPoolSerializer(Shape):
    """A pool in a report."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class BatchTotalSerializer(Shape):
    """The credits of a batch in one currency, as issued."""

    currency = serializers.CharField()
    count = serializers.IntegerField(source="n")
    value = serializers.SerializerMethodField("total_value")

    def total_value(self, line: dict[str, Any]) -> str:
        """Return the exact amount with the decimals of its currency."""
        return format_amount(Decimal(line["v"]), line["currency"])


class ClaimRuleSerializer(Shape):
    """One rule of a claim, with its figures now."""

    rule = serializers.CharField(help_text="A stable name, such as per_user_limit.")
    allows = serializers.BooleanField(help_text="Whether the rule lets this person claim now.")
    refusal = serializers.CharField(allow_null=True, help_text="The code with which a claim would be refused.")
    figures = serializers.JSONField()


class ClaimExplanationSerializer(Shape):
    """Whether a person can claim now, and every rule in the order in which a claim checks them."""

    pool = serializers.UUIDField(allow_null=True)
    asset = serializers.UUIDField(allow_null=True, help_text="null: any credit of the pool.")
    at = serializers.DateTimeField(help_text="The database's time that decides.")
    can_claim = serializers.BooleanField()
    refusal = serializers.CharField(allow_null=True, help_text="The code of the first rule that refuses.")
    detail = serializers.CharField(allow_null=True)
    rules = ClaimRuleSerializer(many=True)


class BatchSerializer(Shape):
    """Credits that were issued together."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    file_name = serializers.CharField(help_text="Empty unless imported.")
    file_digest = serializers.CharField(help_text="SHA-256 of the imported file; empty unless imported.")
    created_at = serializers.DateTimeField()
    created_by = OwnerSerializer(allow_null=True)
    channel = serializers.CharField(help_text="api, admin, shell, scheduler or sql.")
    totals = BatchTotalSerializer(many=True)


class BatchLineSerializer(Shape):
    """The credits of a batch in one currency by status: issued = scheduled + available + claimed + expired + deleted."""

    currency = serializers.CharField()
    issued = FigureSerializer()
    scheduled = FigureSerializer()
    available = FigureSerializer()
    claimed = FigureSerializer()
    expired = FigureSerializer()
    deleted = FigureSerializer()

    def to_representation(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the figures with exact amounts."""
        code = line["currency"]
        figures = {name: pair for name, pair in line.items() if name != "currency"}
        return {"currency": code} | {
            name: {"count": count, "value": format_amount(value, code)} for name, (count, value) in figures.items()
        }


class BatchDetailSerializer(BatchSerializer):
    """A batch, and what became of its credits."""

    lines = serializers.SerializerMethodField()

    @extend_schema_field(BatchLineSerializer(many=True))  # type: ignore[untyped-decorator]
    def get_lines(self, batch: Batch) -> Any:
        """Return the count and value of each status per currency."""
        return BatchLineSerializer(batches.batch_supply(batch), many=True).data


class SummaryLineSerializer(Shape):
    """The credits of one pool and currency by status: issued = scheduled + available + claimed + expired + deleted."""

    currency = serializers.CharField()
    pool = NamedPoolSerializer(allow_null=True)
    issued = FigureSerializer()
    scheduled = FigureSerializer()
    available = FigureSerializer()
    claimed = FigureSerializer()
    expired = FigureSerializer()
    deleted = FigureSerializer()
    remaining = FigureSerializer()
    liability = FigureSerializer(help_text="Equal to `claimed`. What customers are owed now: `reports/liability/`.")


@extend_schema_serializer(many=False)
class SummarySerializer(Shape):
    """The summary: one line per pool and currency."""

    lines = SummaryLineSerializer(many=True)


class SealSerializer(Shape):
    """A signed Merkle root over a closed range of the ledger; hashes, key and signature in hex."""

    seq = serializers.IntegerField(min_value=1)
    previous_root = serializers.CharField()
    root = serializers.CharField()  # type: ignore[assignment]
    from_xid = serializers.IntegerField()
    to_xid = serializers.IntegerField()
    count = serializers.IntegerField(min_value=1)
    sums = serializers.DictField(child=serializers.CharField())
    sealed_at = serializers.DateTimeField()
    public_key = serializers.CharField()
    signature = serializers.CharField()


class ProofSerializer(Shape):
    """The hashed leaf, its index in the seal, its sibling hashes up to the root, and the seal."""

    leaf = serializers.CharField()
    index = serializers.IntegerField(min_value=0)
    path = serializers.ListField(child=serializers.CharField())
    seal = SealSerializer()
