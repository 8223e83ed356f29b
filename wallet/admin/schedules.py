"""The sections of django-q2, for superusers only, as a schedule runs any dotted path. Groups are not used and not shown."""

from typing import Any

import django.contrib.auth.admin  # noqa: F401  (registers Group, which is unregistered below)
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from django_q import admin as q_admin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.decorators import display

from kernel.opened_forms import LockedRowMixin, OpenedForm
from kernel.strict_lists import StrictListMixin
from wallet.admin import formatting

for model in (Group, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class ScheduleForm(OpenedForm):
    """Adds or changes a schedule."""

    moving = ("next_run", "repeats", "task")


@admin.register(Schedule)
class ScheduleAdmin(StrictListMixin, LockedRowMixin, q_admin.ScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """Schedules. The system page shows them with their state."""

    form = ScheduleForm
    list_display = ("name", "func", "cron", "next_run_time", "last_run", "get_success")
    list_display_links = ("name",)
    search_help_text = _("Name or function")

    @display(description=_("next run (UTC)"), ordering="next_run")  # type: ignore[untyped-decorator]
    def next_run_time(self, schedule: Schedule) -> Any:
        """Return the time of the next run."""
        return formatting.format_moment_cell(schedule.next_run)

    @display(description=_("last run"))  # type: ignore[untyped-decorator]
    def last_run(self, schedule: Schedule) -> Any:
        """Return a link to the result of the last run."""
        return self.get_last_run(schedule)


@admin.register(Success)
class SuccessAdmin(StrictListMixin, q_admin.TaskAdmin, ModelAdmin):  # type: ignore[misc]
    """Tasks that succeeded."""


@admin.register(Failure)
class FailureAdmin(StrictListMixin, q_admin.FailAdmin, ModelAdmin):  # type: ignore[misc]
    """Tasks that failed; they can be retried."""
