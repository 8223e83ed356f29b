"""The clock's rooms: a schedule runs any dotted path, so only superusers see them. Groups are not used at all."""

from typing import Any

import django.contrib.auth.admin  # noqa: F401  (registered before it is taken away)
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from django_q import admin as clock
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.decorators import display

from wallet.admin import formatting

for model in (Group, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Schedule)
class ScheduleAdmin(clock.ScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """What runs when; the system page says it in more words."""

    list_display = ("name", "func", "cron", "next", "last", "get_success")
    list_display_links = ("name",)
    search_help_text = _("Name or function")

    @display(description=_("next run (UTC)"), ordering="next_run")  # type: ignore[untyped-decorator]
    def next(self, schedule: Schedule) -> Any:
        """Return when it runs next."""
        return formatting.format_moment_cell(schedule.next_run)

    @display(description=_("last run"))  # type: ignore[untyped-decorator]
    def last(self, schedule: Schedule) -> Any:
        """Return a link to what came of it last."""
        return self.get_last_run(schedule)


@admin.register(Success)
class SuccessAdmin(clock.TaskAdmin, ModelAdmin):  # type: ignore[misc]
    """What ran."""


@admin.register(Failure)
class FailureAdmin(clock.FailAdmin, ModelAdmin):  # type: ignore[misc]
    """What failed; may be run again."""
