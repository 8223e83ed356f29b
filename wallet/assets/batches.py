"""Batches of credits that were issued together, their supply, and background jobs over a whole batch or pool."""

from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q, TextField
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from kernel.model_fields import GeneratedUUIDField
from kernel.refusals import NotFound
from kernel.uuid7 import uuid7
from wallet.assets import triggers

MAX_TITLE_LENGTH = 200
MAX_FILE_NAME_LENGTH = 255


class BatchNotFound(NotFound):
    code = "not_found"
    meaning = gettext_noop("The batch does not exist.")
    detail = gettext_noop("Batch not found. See the list of batches.")


@dataclass(frozen=True)
class BatchHeader:
    """What is known of a batch before its credits are issued.

    Arguments:
        file_digest: the SHA-256 of the imported file in hexadecimal; empty without a file.
    """

    title: str
    file_name: str = ""
    file_digest: str = ""
    id: UUID = field(default_factory=uuid7)


class BatchQuerySet(models.QuerySet["Batch"]):
    """Sets of batches."""

    def with_totals(self) -> "BatchQuerySet":
        """Annotate `totals`: a list of {currency, count, value} as issued, from the lines of the issue log."""
        lines: Any = self.model._meta.get_field("issuances").related_model
        sums = lines.objects.filter(batch=models.OuterRef("pk")).order_by("currency").values("currency")
        sums = sums.annotate(n=models.Sum("count"), v=Cast(models.Sum("value"), TextField()))
        totals: Any = {"totals": JSONLines(sums.values("currency", "n", "v"))}
        return self.annotate(**totals)


class JSONLines(models.Subquery):
    """The rows of a subquery as a JSON array of objects."""

    template = "(SELECT coalesce(jsonb_agg(line), '[]') FROM (%(subquery)s) AS line)"
    output_field = models.JSONField()


class Batch(models.Model):
    """Credits that were issued together. Append-only; written by the trigger that inserts credits.

    The ids of its credits lie in a range (`id_range`), because ids are in order of time. So its credits are found by the
    primary key, and a claim has no further index to write.
    """

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.CharField(max_length=MAX_TITLE_LENGTH, blank=True)
    file_name = models.CharField(max_length=MAX_FILE_NAME_LENGTH, blank=True)
    file_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the imported file.")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    channel = models.CharField(max_length=20)

    # Optional annotation of BatchQuerySet.
    totals: list[dict[str, Any]]

    objects: ClassVar[BatchQuerySet] = BatchQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("batch"), _("batches")
        ordering = ("-id",)
        triggers: ClassVar = triggers.append_only("batch_append_only")
        indexes = (models.Index(fields=("file_digest",), condition=~Q(file_digest=""), name="batch_file"),)

    def __str__(self) -> str:
        return self.title or str(self.pk)

    def id_range(self) -> tuple[UUID, UUID] | None:
        """Return the lowest and the highest id of its credits; None for a batch without credits."""
        lines = list(self.issuances.values_list("first_id", "last_id"))
        if not lines:
            return None
        first, last = zip(*lines, strict=True)
        return min(first, key=id_order), max(last, key=id_order)


def id_order(value: UUID) -> int:
    """Return the position of an id in PostgreSQL's order."""
    return value.int


class BatchSupply(models.Model):
    """The number and value of a batch's credits per currency and status, up to the last seal. Written by the seals' trigger.

    Later changes are in SupplyDelta.
    """

    batch = models.ForeignKey(Batch, models.PROTECT, related_name="supply", db_constraint=False)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=9, help_text="An asset's status, or DELETED.")
    count = models.BigIntegerField()
    value = models.DecimalField(max_digits=24, decimal_places=4)

    class Meta:
        verbose_name, verbose_name_plural = _("supply of a batch"), _("supply of batches")
        constraints = (models.UniqueConstraint(fields=("batch", "currency", "status"), name="batchsupply_group"),)

    def __str__(self) -> str:
        return f"{self.count} {self.status}"


class JobKind(models.TextChoices):
    """What a job does to each credit."""

    EXPIRE = "EXPIRE", _("Expire")
    EXTEND = "EXTEND", _("Extend")
    DELETE = "DELETE", _("Delete")


class JobState(models.TextChoices):
    """The life of a job. The last three are final."""

    WAITING = "WAITING", _("Waiting")
    RUNNING = "RUNNING", _("Running")
    DONE = "DONE", _("Done")
    CANCELLED = "CANCELLED", _("Cancelled")
    FAILED = "FAILED", _("Failed")


UNFINISHED = (JobState.WAITING, JobState.RUNNING)


class BulkJob(models.Model):
    """One change of all unclaimed credits of a batch or a pool, done in the background (actions.bulk_jobs)."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=6, choices=JobKind.choices)
    state = models.CharField(max_length=9, choices=JobState.choices, default=JobState.WAITING)
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="jobs")
    pool = models.ForeignKey("assets.CreditPool", models.PROTECT, null=True, related_name="jobs")
    until_time = models.DateTimeField(null=True, help_text="The new expiry of EXTEND.")
    until_day = models.DateField(null=True, help_text="The last day of EXTEND, in each pool's time zone.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False)
    channel = models.CharField(max_length=20)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0, help_text="Unclaimed credits at the start.")
    done = models.PositiveIntegerField(default=0)
    passed_over = models.JSONField(default=dict, help_text="Number of credits that were left as they are, by reason.")
    last_id = models.UUIDField(null=True, help_text="Credits up to this id are finished.")
    locked_ids = models.JSONField(default=list, help_text="Credits that were locked and are tried again at the end.")
    leased_until = models.DateTimeField(null=True, help_text="While a worker is at it.")
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("bulk job"), _("bulk jobs")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(batch=None) ^ Q(pool=None), name="bulkjob_batch_or_pool"),
            *(
                models.UniqueConstraint(fields=(name,), condition=Q(state__in=UNFINISHED), name=f"bulkjob_one_per_{name}")
                for name in ("batch", "pool")
            ),
            models.CheckConstraint(condition=Q(kind__in=JobKind.values, state__in=JobState.values), name="bulkjob_known"),
        )
        indexes = (models.Index(F("id"), condition=Q(state__in=UNFINISHED), name="bulkjob_unfinished"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.target}"

    @property
    def target(self) -> Any:
        """Return the batch or the pool."""
        return self.batch or self.pool

    @property
    def is_finished(self) -> bool:
        """Return whether the job's state is final."""
        return self.state not in UNFINISHED

    @property
    def handled(self) -> int:
        """Return the number of credits that were changed or passed over."""
        passed_over: dict[str, int] = self.passed_over
        return self.done + sum(passed_over.values())

    @property
    def percent(self) -> int:
        """Return the progress, 0 to 100."""
        if self.state == JobState.DONE:
            return 100
        return min(99, self.handled * 100 // self.total) if self.total else 0
