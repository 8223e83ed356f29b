"""The words for each constraint of rules that an entered value can violate."""

from django.utils.translation import gettext_noop as _

from kernel.constraint_words import Words

WORDS: Words = {
    "programme_grantrule_name_key": ("name", _("A rule with this name already exists. Choose another name.")),
    "rule_name_given": ("name", _("Give the rule a name.")),
    "rule_event_known": ("event", _("Choose one of the events.")),
    "rule_event_name_of_report": (
        "event_name",
        _("Name the event that services report, such as review.written. Leave it blank for all other rules."),
    ),
    "rule_minimum_of_payment": (
        "minimum_amount",
        _("A minimum amount needs its currency, and works only for rules about payments. Otherwise leave both blank."),
    ),
    "rule_cap_positive": ("per_person_cap", _("Allow at least 1 credit per person, or leave it blank for no limit.")),
}
