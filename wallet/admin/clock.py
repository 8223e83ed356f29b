"""The clock's rooms: a schedule runs any dotted path, so only superusers see them. Groups are not used at all."""

import django.contrib.auth.admin  # noqa: F401  (registered before it is taken away)
from django.contrib import admin
from django.contrib.auth.models import Group
from django_q import admin as clock
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

for model in (Group, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Schedule)
class ScheduleAdmin(clock.ScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """What runs when."""


@admin.register(Success)
class SuccessAdmin(clock.TaskAdmin, ModelAdmin):  # type: ignore[misc]
    """What ran."""


@admin.register(Failure)
class FailureAdmin(clock.FailAdmin, ModelAdmin):  # type: ignore[misc]
    """What failed; may be run again."""
