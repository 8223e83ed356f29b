"""CSV import of credits: upload, check and preview, then the confirmed import, all or none."""

import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from accounts.models import User
from kernel.refusals import Refusal
from wallet.actions import import_csv
from wallet.actions.import_csv import Contents, CreditFile, FileChanged, FileRefused
from wallet.admin import formatting
from wallet.admin.base import error_sentence, require_operator
from wallet.assets.bulk_insert import TemplatedAsset
from wallet.assets.models import CreditPool

# About 20,000 credits, which are checked and imported well within the web worker's timeout. The command accepts any size.
MAX_UPLOAD_BYTES = 1024 * 1024
MAX_CHECKED_ROWS = 20_000  # rows that differ in more than their title; seconds of a thread
UPLOAD_TTL_SECONDS = 30 * 60
PREVIEW_ROWS = 10


class UploadForm(forms.Form):
    """Asks for the file and the default pool of its rows."""

    file = forms.FileField(
        label=_("CSV file"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("UTF-8, at most 1 MB, with a header row: title, total_value, currency, pool, expires_at."),
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
        result = check_upload(actor, form.cleaned_data["file"].read(), form.cleaned_data["pool"])
    return import_page(request, form, result)


def import_page(request: HttpRequest, form: UploadForm, result: dict[str, Any]) -> HttpResponse:
    """Return the page with the result of a check, if there is one."""
    context = {**admin.site.each_context(request), "title": _("Import credits"), "form": form, "columns": import_csv.COLUMNS}
    return TemplateResponse(request, "admin/import_credits.html", context | result | {"media": form.media})


def check_upload(actor: User, content: bytes, pool: CreditPool | None) -> dict[str, Any]:
    """Return the template context of a file: its errors, or its preview and the key of the stored upload."""
    try:
        with credit_file(content, actor, pool) as file:
            contents = file.check()
            first = list(islice(file, PREVIEW_ROWS))
    except FileRefused as refusal:
        return {"refusal": refusal.message, "mistakes": refusal.mistakes, "more": refusal.count - len(refusal.mistakes)}
    except Refusal as refusal:
        return {"refusal": refusal.message}
    return {
        "contents": contents,
        "values": [formatting.format_money(value, code) for code, value in sorted(contents.value.items())],  # type: ignore[arg-type]
        "first": [preview_row(credit) for credit in first],
        "more": contents.count - len(first),
        "key": store_upload(actor, content, pool, contents),
    }


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


@contextmanager
def credit_file(content: bytes, actor: User, pool: CreditPool | None, expected: Contents | None = None) -> Iterator[CreditFile]:
    """Yield the content as a file that can be read more than once."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content)
        file.flush()
        yield CreditFile(Path(file.name), actor, pool, expected=expected, max_validated=MAX_CHECKED_ROWS)


def store_upload(actor: User, content: bytes, pool: CreditPool | None, contents: Contents) -> str:
    """Store a checked file for half an hour, visible to every web process, and return its key.

    The file has a session row of its own, signed and expired like any other, so that the operator's session stays small.
    """
    store = SessionStore()
    store["import"] = {
        "by": str(actor.pk),
        "content": b64encode(content).decode(),
        "pool": str(pool.pk) if pool else None,
        "count": contents.count,
        "digest": contents.digest,
        "credits_digest": contents.credits_digest,
    }
    store.set_expiry(UPLOAD_TTL_SECONDS)
    store.create()
    return str(store.session_key)


def take_upload(actor: User, key: str) -> dict[str, Any] | None:
    """Remove and return the stored upload, so that a form sent twice imports once. None when there is none."""
    upload = SessionStore(key).load().get("import") if key else None
    if upload is None or upload["by"] != str(actor.pk) or not Session.objects.filter(session_key=key).delete()[0]:
        return None
    return upload  # type: ignore[no-any-return]


def confirm_import(request: HttpRequest) -> HttpResponse:
    """Import the previewed file, all or none."""
    actor = require_operator(request)
    if request.method != "POST":
        raise PermissionDenied
    upload = take_upload(actor, request.POST.get("key", ""))
    if upload is None:
        messages.warning(
            request, _("This file was already imported, or its preview expired after half an hour. Nothing was done.")
        )
        return redirect("admin:assets_cashbackasset_changelist")
    pool = CreditPool.objects.filter(pk=UUID(upload["pool"])).first() if upload["pool"] else None
    expected = Contents(upload["count"], digest=upload["digest"], credits_digest=upload.get("credits_digest", ""))
    try:
        with credit_file(b64decode(upload["content"]), actor, pool, expected) as file:
            count = import_csv.import_assets(file)
    except FileChanged:
        # The stored file is the same, so that a pool has changed: what was confirmed would not be what is issued.
        messages.warning(request, _("Nothing was imported: something changed after this preview. Check the new preview."))
        return import_page(request, UploadForm(), check_upload(actor, b64decode(upload["content"]), pool))
    except (Refusal, forms.ValidationError) as error:
        messages.error(request, f"{error_sentence(error)} {_('Upload the file again to see the errors.')}")
        return redirect("admin:assets_cashbackasset_import")
    messages.success(
        request, ngettext("%(count)s credit imported.", "%(count)s credits imported.", count) % {"count": f"{count:,}"}
    )
    return redirect("admin:assets_cashbackasset_changelist")
