"""The shapes of finance's reports: their parameters and lines."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from kernel.strict_serializers import StrictSerializer
from wallet.api.fields import ChoiceField, MomentField
from wallet.api.pagination import PageSizeField
from wallet.api.response_serializers import Shape
from wallet.queries import money_reports


class AsOfQuery(StrictSerializer):
    """The time of a report."""

    as_of = MomentField(required=False, help_text="The report counts everything up to then. Defaults to now.")
    bom = ChoiceField(choices=["1"], required=False, help_text="A byte order mark before the CSV.")


class JournalQuery(AsOfQuery):
    """The time of the journal, and a page of it."""

    cursor = serializers.CharField(required=False, help_text="Start of the page, as found in `next`.")
    page_size = PageSizeField()


class TrialBalanceLine(Shape):
    """The balance of one account: a debit, what pools gave out; or a credit, what is owed, was spent or lapsed."""

    currency = serializers.CharField()
    account = serializers.ChoiceField(choices=["pool", "wallet", "hold", "merchant", "breakage"])
    debit = serializers.CharField()
    credit = serializers.CharField()


class LiabilityLine(Shape):
    """What is owed to customers of credits that end within so many days: total = available + pending + held."""

    currency = serializers.CharField()
    ends = serializers.ChoiceField(choices=list(money_reports.ENDS))
    available = serializers.CharField()
    pending = serializers.CharField()
    held = serializers.CharField()
    total = serializers.CharField()
    credits = serializers.IntegerField()


class BreakageLine(Shape):
    """What lapsed of claimed credits of one pool."""

    currency = serializers.CharField()
    pool = serializers.UUIDField(allow_null=True)
    pool_name = serializers.CharField(allow_null=True)
    amount = serializers.CharField()
    credits = serializers.IntegerField()


class SettlementLine(Shape):
    """What one service is due: net = captured - refunded."""

    currency = serializers.CharField()
    service = serializers.UUIDField()
    service_name = serializers.CharField()
    captured = serializers.CharField()
    refunded = serializers.CharField()
    net = serializers.CharField()
    payments = serializers.IntegerField()


class JournalLine(Shape):
    """One line of double entry: `amount` moves from the account `debit` to the account `credit`."""

    at = serializers.CharField(help_text="RFC 3339.")
    kind = serializers.CharField()
    debit = serializers.CharField()
    credit = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    user = serializers.UUIDField()
    claim = serializers.UUIDField()
    payment = serializers.UUIDField(allow_null=True)
    service = serializers.UUIDField(allow_null=True)
    service_name = serializers.CharField(allow_null=True)
    reference = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)


class ReportShape(Shape):
    """A report: its time, and its lines."""

    as_of = serializers.CharField(help_text="The time of the report, RFC 3339. The same time gets the same answer for ever.")


@extend_schema_serializer(many=False)
class TrialBalanceSerializer(ReportShape):
    """The trial balance. Debits and credits of a currency are equal."""

    lines = TrialBalanceLine(many=True)


@extend_schema_serializer(many=False)
class LiabilitySerializer(ReportShape):
    """The liability by currency and end."""

    lines = LiabilityLine(many=True)


@extend_schema_serializer(many=False)
class BreakageSerializer(ReportShape):
    """The breakage by currency and pool."""

    lines = BreakageLine(many=True)


@extend_schema_serializer(many=False)
class SettlementSerializer(ReportShape):
    """The settlement by currency and service."""

    lines = SettlementLine(many=True)


@extend_schema_serializer(many=False)
class JournalSerializer(ReportShape):
    """A page of the journal, oldest lines first."""

    lines = JournalLine(many=True)
    next = serializers.CharField(allow_null=True, help_text="The URL of the next page.")
