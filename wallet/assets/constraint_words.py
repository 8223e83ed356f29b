"""The words for each constraint of pools and credits that an entered value can violate."""

from django.utils.translation import gettext_noop as _

from kernel.constraint_words import Words

NAME_TAKEN = _("A pool with this name already exists. Choose another name.")
WORDS: Words = {
    "pool_name_unique": ("name", NAME_TAKEN),
    "pool_name_readable": ("name", _("Remove the invisible or unsupported characters.")),
    "pool_kind_known": ("kind", _("Choose one of the kinds: SIGNUP, REFERRAL or PROMOTION.")),
    "pool_currency_known": ("currency", _("Use an ISO 4217 currency code such as INR.")),
    "pool_currency": ("currency", _("A pool with credits keeps its currency. Open another pool.")),
    "pool_limit_positive": ("per_user_limit", _("Allow at least 1 credit per user, or leave it empty for no limit.")),
    "assets_creditpool_per_user_limit_check": (
        "per_user_limit",
        _("Allow at least 1 credit per user, or leave it empty for no limit."),
    ),
    "pool_period_limit_positive": ("period_limit", _("Allow at least 1 credit per period, or leave it empty for no limit.")),
    "assets_creditpool_period_limit_check": (
        "period_limit",
        _("Allow at least 1 credit per period, or leave it empty for no limit."),
    ),
    "pool_limit_period_known": ("limit_period", _("Choose DAY, WEEK or MONTH.")),
    "pool_budget": ("budget", _("This is less than the value of the credits that can be claimed or were claimed.")),
    "pool_budget_complete": ("budget", _("A budget needs the title and the value of its credits, and must be more than 0.")),
    "pool_budget_scale": ("budget", _("The budget or the value has more decimals than the currency.")),
    "pool_budget_below_threshold": (
        "budget",
        _("A budget is at most the pool's approval threshold. Another operator must approve a higher threshold first."),
        "approval_required",
    ),
    "pool_credit_lifetime_possible": ("credit_lifetime", _("Credits must be claimable for more than no time.")),
    "pool_archived_is_paused": ("is_active", _("This pool is archived. Unarchive it first.")),
    "pool_closes_after_opening": ("closes_at", _("The pool must close after it opens.")),
    "pool_validity_possible": ("valid_for", _("Credits must be valid for more than no time; a day's end needs a validity.")),
    "pool_draw_priority_known": ("draw_priority", _("Choose a draw priority of 1, 2 or 3.")),
    "pool_refund_grace_bounded": ("refund_grace_days", _("Choose 0 to 366 days.")),
    "assets_creditpool_draw_priority_check": ("draw_priority", _("Choose a draw priority of 1, 2 or 3.")),
    "assets_creditpool_refund_grace_days_check": ("refund_grace_days", _("Choose 0 to 366 days.")),
    "pool_clawback_reach_known": ("clawback_reach", _("Choose CREDIT or WALLET.")),
    "pool_approval_threshold_range": ("approval_threshold", _("Choose 0 to 1,000,000,000, or leave it blank for none.")),
    "asset_title_readable": ("title", _("Remove the invisible or unsupported characters.")),
    "asset_title_given": ("title", _("Give the credit a title.")),
    "asset_value_range": ("total_value", _("The value must be more than 0 and at most 1,000,000,000.")),
    "asset_value_scale": ("total_value", _("The value has more decimals than its currency.")),
    "asset_currency_known": ("currency", _("Use an ISO 4217 currency code such as INR.")),
    "asset_pool_currency": ("currency", _("A credit has the currency of its pool. Leave it blank to use that.")),
}
