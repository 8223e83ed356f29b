"""Bulk jobs in the console: start one for a whole batch or pool, watch its progress, cancel it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from kernel.refusals import Refusal
from kernel.versions import version_of
from kernel.whole_numbers import parse_whole_number
from wallet.actions import bulk_jobs
from wallet.actions.bulk_changes import NOT_LATER, RECREATED
from wallet.admin import formatting
from wallet.admin.asset_forms import ExtendForm
from wallet.admin.base import OperatorAdmin, ReadOnlyAdmin, error_sentence, require_operator, require_safe_method
from wallet.admin.filters import KnownChoiceFilter, channel_label
from wallet.assets.batches import Batch, BulkJob, JobKind, JobState
from wallet.assets.models import AssetStatus, CreditPool
from wallet.queries import batches, supply

LABELS = {"DONE": "success", "RUNNING": "info", "WAITING": "info", "CANCELLED": "warning", "FAILED": "danger"}
WARNINGS = {
    JobKind.EXPIRE: _("Every available credit expires now. This cannot be undone, but an expired credit can be recreated."),
    JobKind.EXTEND: _("Available credits can be claimed for longer. This never shortens an expiry."),
    JobKind.DELETE: _("Available and expired credits are deleted for good. Claimed and recreated credits stay."),
}
REASONS = {
    AssetStatus.CLAIMED: _("claimed meanwhile"),
    AssetStatus.EXPIRED: _("expired"),
    RECREATED: _("recreated: its newer copy points to it"),
    NOT_LATER: _("expires later already, or never"),
    bulk_jobs.LOCKED: _("locked by another operation"),
}

SHOWN_OF_POOL = ("name", "time_zone")


class BulkJobMixin(OperatorAdmin):
    """A section whose rows, batches or pools, can be changed as a whole."""

    def get_urls(self) -> list[Any]:
        """Add the URL of the confirmation."""
        view, name = self.admin_site.admin_view(self.start_job), f"assets_{self.opts.model_name}_bulk_job"
        return [path("<any_case_uuid:object_id>/bulk/<str:kind>/", view, name=name), *super().get_urls()]

    @action(description=_("Change all its credits"), url_path="bulk", icon="dynamic_feed")  # type: ignore[untyped-decorator]
    def bulk(self, request: HttpRequest, object_id: UUID | str) -> HttpResponse:
        """Show what can be done to all its credits, and the jobs so far."""
        require_operator(require_safe_method(request))
        target = self.target(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Change all credits of %(target)s") % {"target": target},
            "heading": _("Change all its credits"),
            "opts": self.opts,
            **bulk_context(target),
        }
        return TemplateResponse(request, "admin/bulk_jobs.html", context)

    def target(self, request: HttpRequest, object_id: Any) -> Any:
        """Return the batch or pool; raise Http404."""
        target = self.get_object(request, str(object_id))
        if target is None:
            raise Http404
        return target

    def start_job(self, request: HttpRequest, object_id: UUID, kind: str) -> HttpResponse:
        """Show what a job would do and ask for confirmation, or start it."""
        actor, target = require_operator(request), self.target(request, object_id)
        if kind.upper() not in JobKind.values:
            raise Http404
        job_kind = JobKind(kind.upper())
        confirmed = request.POST.get("confirmed") == "yes"
        form = ExtendForm(request.POST if confirmed else None) if job_kind == JobKind.EXTEND else None
        if confirmed and is_more_than_shown(request, target, job_kind):
            messages.warning(request, _("Something changed after this page was opened, so nothing was done. Check it again."))
        elif confirmed and (form is None or form.is_valid()):
            try:
                job = bulk_jobs.start_job(actor, job_kind, target, **(form.changed_values() if form else {}))
                return redirect("admin:assets_bulkjob_change", job.pk)
            except (Refusal, ValidationError) as error:
                messages.error(request, error_sentence(error))
        return self.ask(request, target, job_kind, form)

    def ask(self, request: HttpRequest, target: Any, kind: JobKind, form: forms.Form | None) -> HttpResponse:
        """Show the confirmation page of a job."""
        counts = credit_counts(target)
        changed = changeable(counts, kind)
        context = {
            **self.admin_site.each_context(request),
            "title": heading(kind, target),
            "heading": kind.label,
            "opts": self.opts,
            "target": target,
            "kind": kind,
            "button": "primary" if kind == JobKind.EXTEND else "danger",
            "warning": WARNINGS[kind],
            "counts": counts,
            "changed": changed,
            "version": target_version(target),
            "changed_text": f"{changed:,}",
            "issued_text": f"{counts['issued']:,}",
            "claimed_text": f"{counts['claimed']:,}",
            "form": form,
            "media": self.media + form.media if form else self.media,
        }
        return TemplateResponse(request, "admin/start_bulk_job.html", context)


def changeable(counts: dict[str, int], kind: JobKind) -> int:
    """Return how many of the counted credits the job may change."""
    scheduled = counts["scheduled"] if kind != JobKind.EXTEND else 0
    return counts["available"] + scheduled + (counts["expired"] if kind == JobKind.DELETE else 0)


def target_version(target: Batch | CreditPool) -> str:
    """Return the version of what the confirmation says of a pool: its name, and where its days end. A batch never changes."""
    return version_of(target, SHOWN_OF_POOL) if isinstance(target, CreditPool) else ""


def is_more_than_shown(request: HttpRequest, target: Batch | CreditPool, kind: JobKind) -> bool:
    """Return whether the job would change more credits than its confirmation showed, or another pool's days."""
    shown, version = request.POST.get("shown", ""), request.POST.get("version", "")
    try:
        has_more = bool(shown) and changeable(credit_counts(target), kind) > parse_whole_number(shown)
    except ValueError:
        return True
    return has_more or (bool(version) and version != target_version(target))


def heading(kind: JobKind, target: Any) -> str:
    """Return the question of the confirmation page."""
    if kind == JobKind.DELETE and is_import(target):
        return _("Undo the import %(target)s?") % {"target": target}
    return _("%(verb)s all unclaimed credits of %(target)s?") % {"verb": kind.label, "target": target}


def is_import(target: Batch | CreditPool) -> bool:
    """Return whether this is the batch of an imported file."""
    return isinstance(target, Batch) and bool(target.file_digest)


def credit_counts(target: Batch | CreditPool) -> dict[str, int]:
    """Return the number of the target's credits per state, from the counters."""
    if isinstance(target, Batch):
        return batches.counts(target)
    lines = supply.supply_by(Q(pool=target), "pool").values()
    states = {state: sum(line[state][0] for line in lines if state in line) for state in batches.STATES}
    return {"issued": sum(states.values())} | states


def bulk_context(target: Batch | CreditPool) -> dict[str, Any]:
    """Return the template context of the links to the jobs of a batch or pool, and of its latest jobs."""
    name = f"admin:assets_{target._meta.model_name}_bulk_job"
    undo = is_import(target)
    labels = {JobKind.DELETE: _("Undo this import") if undo else _("Delete unclaimed credits")}
    labels |= {JobKind.EXPIRE: _("Expire all available credits"), JobKind.EXTEND: _("Extend the expiry")}
    return {
        "target": target,
        "links": [(reverse(name, args=[target.pk, kind.value.lower()]), labels[kind]) for kind in JobKind],
        "jobs": [job_line(job) for job in target.jobs.select_related("created_by", "batch", "pool")[:20]],
    }


def job_line(job: BulkJob) -> dict[str, Any]:
    """Return a job for the templates."""
    return {
        "job": job,
        "kind": job.get_kind_display(),
        "state": JobState(job.state).label,
        "done": f"{job.done:,}",
        "total": f"{job.total:,}",
        "passed_over": [(f"{count:,}", REASONS.get(reason, reason)) for reason, count in sorted(job.passed_over.items())],
        "created": formatting.format_moment_cell(job.created_at),
        "finished": formatting.format_moment_cell(job.finished_at),
        "who": job.created_by.email if job.created_by else None,
        "source": channel_label(job.channel),
        "target": formatting.link_to(job.target),
    }


@admin.register(BulkJob)
class BulkJobAdmin(ReadOnlyAdmin):
    """Bulk jobs, newest first."""

    list_display = ("label", "state_now", "progress", "who", "created")
    list_filter = (("kind", KnownChoiceFilter), ("state", KnownChoiceFilter))
    list_select_related = ("created_by", "batch", "pool")
    ordering = ("-id",)

    def get_urls(self) -> list[Any]:
        """Add the URLs of the progress and of cancelling."""
        site = self.admin_site.admin_view
        return [
            path("<any_case_uuid:job_id>/progress/", site(progress_fragment), name="assets_bulkjob_progress"),
            path("<any_case_uuid:job_id>/cancel/", site(cancel), name="assets_bulkjob_cancel"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJob]:
        """Return all jobs with what the list shows."""
        return BulkJob.objects.select_related("created_by", "batch", "pool").order_by("-id")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a job with its progress."""
        require_operator(require_safe_method(request))
        if object_id is None:
            raise PermissionDenied
        job: Any = self.get_object(request, object_id)
        if job is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        context = {**self.admin_site.each_context(request), "title": str(job), "heading": str(job), "opts": self.opts}
        return TemplateResponse(request, "admin/bulk_job.html", context | {"line": job_line(job)})

    @display(description=_("job"))  # type: ignore[untyped-decorator]
    def label(self, job: BulkJob) -> str:
        """Return what the job does to which batch or pool."""
        return str(job)

    @display(description=_("state"), label=LABELS, ordering="state")  # type: ignore[untyped-decorator]
    def state_now(self, job: BulkJob) -> Any:
        """Return the state."""
        return job.state, JobState(job.state).label

    @display(description=_("progress"))  # type: ignore[untyped-decorator]
    def progress(self, job: BulkJob) -> str:
        """Return how many credits were changed."""
        return f"{job.done:,} / {job.total:,}"

    @display(description=_("who"), ordering="created_by__email")  # type: ignore[untyped-decorator]
    def who(self, job: BulkJob) -> str | None:
        """Return the operator's email."""
        return job.created_by.email if job.created_by else None

    @display(description=_("created (UTC)"), ordering="id")  # type: ignore[untyped-decorator]
    def created(self, job: BulkJob) -> Any:
        """Return when the job was created."""
        return formatting.format_moment_cell(job.created_at)


def progress_fragment(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Return the progress of a job, which its page asks for every two seconds until the job is finished."""
    require_operator(require_safe_method(request))
    job = BulkJob.objects.select_related("created_by", "batch", "pool").filter(pk=job_id).first()
    if job is None:
        raise Http404
    return TemplateResponse(request, "admin/bulk_job_progress.html", {"line": job_line(job)})


def cancel(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Cancel a job; what it did stays."""
    require_operator(request)
    if request.method != "POST":
        raise PermissionDenied
    try:
        if bulk_jobs.cancel_job(job_id).state == JobState.CANCELLED:
            messages.success(request, _("Bulk job cancelled. Credits that were already changed stay changed."))
        else:
            messages.error(request, _("This bulk job has already finished."))
    except bulk_jobs.JobNotFound as error:
        raise Http404 from error
    return redirect("admin:assets_bulkjob_change", job_id)
