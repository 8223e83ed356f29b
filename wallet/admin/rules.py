"""The sections of rules that grant and of what they owe."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from wallet.actions import edit_rule
from wallet.admin import formatting
from wallet.admin.base import ActionForm, OperatorAdmin, is_operator, require_operator
from wallet.admin.filters import ChoiceFilter, KnownChoiceFilter
from wallet.admin.form_fields import AmountField, CurrencyField, WholeNumberField
from wallet.assets.models import CreditPool
from wallet.programme.models import GrantDue, GrantRule
from wallet.programme.querysets import DueState
from wallet.queries.due_credits import reason_of

FIXED = ("pool", "event", "event_name", "minimum_amount", "currency")
STATE_LABELS = {
    DueState.GRANTED.label: "success",
    DueState.QUEUED.label: "info",
    DueState.TAKEN_BACK.label: "warning",
    DueState.REVIEW.label: "warning",
    DueState.CLOSED.label: "danger",
    DueState.SOLD_OUT.label: "danger",
    DueState.NOT_POSSIBLE.label: "warning",
}
GRANTED = (DueState.GRANTED, DueState.TAKEN_BACK)
# Why the last try was refused, in a few words.
REFUSALS = {
    "rule_cap_reached": _("The person has reached the rule's limit per person."),
    "claim_limit_reached": _("The person has reached the pool's limit per person."),
    "wallet_closed": _("The account is closed."),
    "approval_required": _("The credit is worth more than one operator may grant from this pool."),
    "payment_refunded": _("The payment was refunded before the credit was granted."),
    "never_spendable": _("The credit would end before it can be spent."),
}


class RuleForm(ActionForm):
    """Opens or changes a rule."""

    minimum_amount = AmountField(
        label=_("Minimum amount"), required=False, help_text=_("Of the payment. Leave blank for any amount.")
    )
    currency = CurrencyField(label=_("Currency"), required=False, help_text=_("Of the minimum amount, e.g. INR."))

    class Meta:
        model = GrantRule
        fields = ("name", *FIXED, "per_person_cap", "is_active")
        field_classes: ClassVar = {"per_person_cap": WholeNumberField}
        labels: ClassVar = {
            "event_name": _("Event name"),
            "per_person_cap": _("Limit per person"),
        }
        help_texts: ClassVar = {
            "pool": _(
                "Its credits are granted. A closed or empty pool makes people wait."
                " Users can claim from it too, unless it is set to Grants only."
            ),
            "event": _("Counts from when the rule is opened; pool, event and conditions can't be changed later."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if pools := self.fields.get("pool"):
            pools.queryset = CreditPool.objects.not_archived().order_by("name")  # type: ignore[attr-defined]

    def changed_values(self) -> dict[str, Any]:
        """Return the changed fields as arguments of the actions."""
        return {name: self.cleaned_data[name] for name in self.changed_data}


@admin.register(GrantRule)
class RuleAdmin(OperatorAdmin):
    """Rules: open, change and pause them."""

    form = RuleForm
    list_display = ("name", "pool_name", "event", "condition", "cap", "state")
    list_filter = (("event", KnownChoiceFilter), "is_active")
    search_fields = ("name",)
    search_help_text = _("Name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GrantRule]:
        """Return all rules, with whether their pools can give something now."""
        return GrantRule.objects.with_supply().select_related("pool").order_by("-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the caller is an operator."""
        return is_operator(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what a rule keeps: everything it grants for."""
        return FIXED if obj else ()

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Open or change the rule through the action."""
        if change:
            edit_rule.update_rule(obj.pk, require_operator(request), form.require_unchanged, **form.changed_values())
        else:
            values = {name: form.cleaned_data[name] for name in form.fields}
            obj.pk = edit_rule.open_rule(require_operator(request), **values).pk

    @display(description=_("pool"))  # type: ignore[untyped-decorator]
    def pool_name(self, rule: GrantRule) -> Any:
        """Return the pool, with a link."""
        return formatting.link_to(rule.pool)

    @display(description=_("condition"), empty_value="")  # type: ignore[untyped-decorator]
    def condition(self, rule: GrantRule) -> str | None:
        """Return the event's name, or the least amount."""
        if rule.minimum_amount is not None:
            return formatting.format_money(rule.minimum_amount, rule.currency)
        return rule.event_name or None

    @display(description=_("per person"), empty_value=_("no limit"))  # type: ignore[untyped-decorator]
    def cap(self, rule: GrantRule) -> int | None:
        """Return how many credits one person gets."""
        return rule.per_person_cap

    @display(description=_("state"), label=STATE_LABELS | {_("Active"): "success"})  # type: ignore[untyped-decorator]
    def state(self, rule: GrantRule) -> Any:
        """Return whether the rule can grant now."""
        reason = reason_of(rule)
        return _("Active") if reason is DueState.QUEUED else reason.label


class DueStateFilter(ChoiceFilter):
    """What became of a due credit."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the states."""
        return DueState.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the dues in the state; those that are not granted are found by their index."""
        found = super().queryset(request, queryset.filter(entry__isnull=self.value() not in GRANTED))
        return found if self.value() else queryset

    field = "state"


class RuleFilter(ChoiceFilter):
    """The rule of a due credit."""

    title = _("rule")
    parameter_name = "rule"
    field = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Return the rules by name."""
        return [(str(pk), name) for pk, name in GrantRule.objects.order_by("name").values_list("pk", "name")]


@admin.register(GrantDue)
class DueAdmin(OperatorAdmin):
    """What rules owe or granted, latest first."""

    list_display = ("created", "rule_name", "person", "state_label", "why", "next_try", "credit")
    list_filter = (DueStateFilter, RuleFilter)
    search_fields = ("user__email",)
    search_help_text = _("Email")
    fields = (
        *("rule_name", "person", "friend_email", "payment_link", "created", "state_label", "why", "tries", "next_try"),
        *("credit", "granted"),
    )
    readonly_fields = fields
    actions = ("try_now",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[GrantDue]:
        """Return all dues with their state."""
        return GrantDue.objects.with_state().select_related("rule", "user", "friend", "payment", "entry__asset").order_by("-id")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show one due without a history: it has none."""
        return super().changeform_view(request, object_id, form_url, {"show_history": False} | (extra_context or {}))

    @action(description=_("Try again now"))  # type: ignore[untyped-decorator]
    def try_now(self, request: HttpRequest, queryset: QuerySet[GrantDue]) -> None:
        """Make the selected refused dues ready for another try."""
        require_operator(request)
        count = edit_rule.try_again(Q(pk__in=[due.pk for due in queryset]))
        text = ngettext("%(count)s credit is tried again.", "%(count)s credits are tried again.", count)
        messages.success(request, text % {"count": f"{count:,}"})

    @display(description=_("due since (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def created(self, due: GrantDue) -> Any:
        """Return when it became due."""
        return formatting.format_moment_cell(due.created_at)

    @display(description=_("rule"))  # type: ignore[untyped-decorator]
    def rule_name(self, due: GrantDue) -> Any:
        """Return the rule, with a link."""
        return formatting.link_to(due.rule)

    @display(description=_("person"))  # type: ignore[untyped-decorator]
    def person(self, due: GrantDue) -> Any:
        """Return the person who gets it, with a link."""
        return formatting.link_to_owner(due.user)

    @display(description=_("for friend"), empty_value="")  # type: ignore[untyped-decorator]
    def friend_email(self, due: GrantDue) -> Any:
        """Return the friend whose payment it is for, with a link."""
        return formatting.link_to_owner(due.friend)

    @display(description=_("payment"), empty_value="")  # type: ignore[untyped-decorator]
    def payment_link(self, due: GrantDue) -> Any:
        """Return the payment that earned it, with a link."""
        return due.payment and formatting.link_titled(due.payment, due.payment.reference)

    @display(description=_("state"), label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, due: GrantDue) -> Any:
        """Return what it waits for, or that it was granted."""
        return DueState(due.state).label

    @display(description=_("why"), empty_value="")  # type: ignore[untyped-decorator]
    def why(self, due: GrantDue) -> Any:
        """Return why the last try was refused."""
        return REFUSALS.get(due.refusal, due.refusal) if due.granted_at is None and due.refusal else None

    @display(description=_("tries"))  # type: ignore[untyped-decorator]
    def tries(self, due: GrantDue) -> str:
        """Return how many tries were refused."""
        return f"{due.attempts:,}"

    @display(description=_("next try (UTC)"), empty_value="")  # type: ignore[untyped-decorator]
    def next_try(self, due: GrantDue) -> Any:
        """Return when it may be tried next."""
        return None if due.granted_at else formatting.format_moment_cell(due.next_try_at)

    @display(description=_("credit"), empty_value="")  # type: ignore[untyped-decorator]
    def credit(self, due: GrantDue) -> Any:
        """Return the granted credit, with a link to its claim."""
        return due.entry and formatting.link_titled(due.entry, due.entry.asset.title)

    @display(description=_("granted (UTC)"), empty_value="")  # type: ignore[untyped-decorator]
    def granted(self, due: GrantDue) -> Any:
        """Return when it was granted."""
        return formatting.format_moment_cell(due.granted_at)
