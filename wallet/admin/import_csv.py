"""Import of credits from a CSV or XLSX file: upload, check and preview, then the confirmed import, all or none."""

from dataclasses import replace
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from kernel.refusals import Refusal
from wallet.actions import import_csv
from wallet.actions.approvals import AwaitsApproval
from wallet.actions.import_csv import Contents
from wallet.actions.import_mistakes import FileChanged, FileRefused
from wallet.admin import formatting
from wallet.admin.base import error_sentence, require_operator, tell_that_it_waits
from wallet.admin.import_pools import MissingPoolsForm
from wallet.admin.stored_uploads import Upload, credit_file, load_upload, store_upload, stored_upload, take_upload
from wallet.assets.batches import BatchHeader
from wallet.assets.bulk_insert import TemplatedAsset
from wallet.assets.models import CreditPool
from wallet.queries import batches

# About 20,000 credits, which are checked and imported well within the web worker's timeout. The command accepts any size.
MAX_UPLOAD_BYTES = 1024 * 1024
PREVIEW_ROWS = 10


class UploadForm(forms.Form):
    """Asks for the file and the default pool of its rows."""

    file = forms.FileField(
        label=_("CSV or Excel file"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_(
            "CSV (UTF-8; comma, semicolon or tab) or XLSX, at most 1 MB, with a header row: title, total_value, currency, "
            "pool, expires_at. The last three are optional."
        ),
    )
    pool = forms.ModelChoiceField(
        CreditPool.objects.not_archived().order_by("name"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        empty_label=_("No default"),
        help_text=_("Default pool for rows without one."),
    )

    def clean_file(self) -> Any:
        """Refuse a file that is too large."""
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(
                _("The file is larger than 1 MB. Split it, or use manage.py import_assets."), code="size"
            )
        return file


def upload_page(request: HttpRequest) -> HttpResponse:
    """Show the upload form, or check the uploaded file and show its preview or its errors."""
    actor = require_operator(request)
    form = UploadForm(request.POST or None, request.FILES or None)
    result: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        file, pool = form.cleaned_data["file"], form.cleaned_data["pool"]
        result = check_upload(Upload(actor, file.read(), file.name, pool))
    return import_page(request, result, form)


def import_page(request: HttpRequest, result: dict[str, Any], form: forms.Form | None = None) -> HttpResponse:
    """Show the result of a check, with the upload form unless it is a preview."""
    form = form or UploadForm()
    context = {**admin.site.each_context(request), "title": _("Import credits"), "form": form, "columns": import_csv.COLUMNS}
    return TemplateResponse(request, "admin/import_credits.html", context | result | {"media": form.media})


def check_upload(upload: Upload) -> dict[str, Any]:
    """Return the template context of a file: its errors, or its preview and the key of the stored upload."""
    try:
        with credit_file(upload) as file:
            contents = file.check()
            first = list(islice(file, PREVIEW_ROWS))
    except FileRefused as refusal:
        return refusal_context(upload, refusal)
    except Refusal as refusal:
        return {"refusal": refusal.message}
    values = [formatting.format_money(value, code) for code, value in sorted(contents.value.items())]  # type: ignore[arg-type]
    return {
        "contents": contents,
        "file_name": upload.name,
        "values": values,
        "first": [preview_row(credit) for credit in first],
        "more": contents.count - len(first),
        "new_pools": upload.new_pools,
        "former": former_imports(contents.digest),
        "key": store_upload(upload, contents, values),
    }


def refusal_context(upload: Upload, refusal: FileRefused) -> dict[str, Any]:
    """Return the template context of a refused file; if only pools are missing, with the form that creates them."""
    context = {
        "refusal": refusal.message,
        "groups": refusal.groups,
        "mistakes": refusal.mistakes,
        "more": refusal.count - len(refusal.mistakes),
    }
    if refusal.only_missing_pools:
        context["pools_form"] = MissingPoolsForm(missing_pools=refusal.missing_pools)
        context["key"] = store_upload(upload, None, [])
    return context


def create_pools_page(request: HttpRequest) -> HttpResponse:
    """Check a stored file again together with the pools that the operator chose to create, and show its preview."""
    actor = require_operator(request)
    if request.method != "POST":
        raise PermissionDenied
    upload = load_upload(actor, request.POST.get("key", ""))
    if upload is None:
        messages.warning(request, _("This upload expired after half an hour. Upload the file again."))
        return redirect("admin:assets_cashbackasset_import")
    try:
        with credit_file(upload) as file:
            file.check()
    except FileRefused as refusal:
        form = MissingPoolsForm(request.POST, missing_pools=refusal.missing_pools)
        if not form.is_valid():
            return import_page(request, refusal_context(upload, refusal) | {"pools_form": form})
        return import_page(request, check_upload(replace(upload, new_pools=form.pools())))
    except Refusal as refusal:
        return import_page(request, {"refusal": refusal.message})
    return import_page(request, check_upload(upload))  # somebody else has created the pools meanwhile


def former_imports(digest: str) -> list[dict[str, Any]]:
    """Return the batches that were imported from the same file, for the template."""
    return [
        {"at": formatting.format_moment_cell(batch.created_at), "who": batch.created_by, "link": formatting.link_to(batch)}
        for batch in batches.batches_of_file(digest)[:10]
    ]


def preview_row(credit: TemplatedAsset) -> dict[str, Any]:
    """Return the preview of one credit."""
    asset = credit.template.asset
    value = formatting.format_money(asset.total_value, asset.currency)
    return {
        "title": credit.title,
        "value": value,
        "pool": asset.pool,
        "expires": formatting.format_moment_cell(asset.expires_at),
    }


def confirm_import(request: HttpRequest) -> HttpResponse:
    """Import the previewed file, all or none. A file that was imported before needs the operator's word."""
    actor = require_operator(request)
    if request.method != "POST":
        raise PermissionDenied
    key = request.POST.get("key", "")
    upload, stored = load_upload(actor, key), stored_upload(actor, key)
    asked_again = request.POST.get("again") == "yes"
    if upload and stored and not asked_again and batches.batches_of_file(stored["digest"] or "").exists():
        messages.error(request, _("This file was imported before. Tick the box to import it again."))
        return import_page(request, check_upload(upload))
    if upload is None or (stored := take_upload(actor, key)) is None:
        messages.warning(
            request, _("This file was already imported, or its preview expired after half an hour. Nothing was done.")
        )
        return redirect("admin:assets_cashbackasset_changelist")
    expected = Contents(stored["count"], digest=stored["digest"], credits_digest=stored["credits_digest"])
    return import_upload(request, upload, expected)


def import_upload(request: HttpRequest, upload: Upload, expected: Contents) -> HttpResponse:
    """Import the file, and lead to its batch."""
    batch = BatchHeader(upload.name, file_name=upload.name, file_digest=expected.digest)
    try:
        with credit_file(upload, expected) as file:
            count = import_csv.import_assets(file, batch)
    except AwaitsApproval as waiting:
        return tell_that_it_waits(request, waiting)
    except FileChanged:
        # The stored file is the same, so that a pool has changed: what was confirmed would not be what is issued.
        messages.warning(request, _("Nothing was imported: something changed after this preview. Check the new preview."))
        return import_page(request, check_upload(upload))
    except (Refusal, forms.ValidationError) as error:
        messages.error(request, f"{error_sentence(error)} {_('Upload the file again to see the errors.')}")
        return redirect("admin:assets_cashbackasset_import")
    messages.success(
        request, ngettext("%(count)s credit imported.", "%(count)s credits imported.", count) % {"count": f"{count:,}"}
    )
    return redirect("admin:assets_batch_change", batch.id)
