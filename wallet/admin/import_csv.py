"""Credits from an uploaded CSV file: checked and shown first, then issued all or none when the operator says so."""

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
from wallet.actions.import_csv import Contents, CreditFile, FileRefused
from wallet.admin import formatting
from wallet.admin.base import error_sentence, require_operator
from wallet.assets.bulk_insert import TemplatedAsset
from wallet.assets.models import CreditPool

# About 20,000 credits: a file that is checked and imported well within a web worker's time. The command takes any size.
MAX_UPLOAD_BYTES = 1024 * 1024
MOST_JUDGED = 20_000  # lines that differ in more than their title: some seconds of a thread
KEPT_SECONDS = 30 * 60
SHOWN = 10


class UploadForm(forms.Form):
    """Which file, and the pool of the lines that name none."""

    file = forms.FileField(
        label=_("CSV file"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("UTF-8, at most 1 MB, with a line of column names: title, total_value, currency, pool, expires_at."),
    )
    pool = forms.ModelChoiceField(
        CreditPool.objects.order_by("name"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        empty_label=_("None: each line names its pool, or a currency"),
        help_text=_("The pool of the lines that name none."),
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
    """Ask for a file; check the one that was sent, and show what is in it or what is wrong with it."""
    actor = require_operator(request)
    form = UploadForm(request.POST or None, request.FILES or None)
    found: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        found = check_upload(actor, form.cleaned_data["file"].read(), form.cleaned_data["pool"])
    context = {**admin.site.each_context(request), "title": _("Import credits"), "form": form, "columns": import_csv.COLUMNS}
    return TemplateResponse(request, "admin/import_credits.html", context | found | {"media": form.media})


def check_upload(actor: User, content: bytes, pool: CreditPool | None) -> dict[str, Any]:
    """Return what the page says of a file: its mistakes, or its credits and the key under which it was put aside."""
    try:
        with credit_file(content, actor, pool) as file:
            contents = file.check()
            first = list(islice(file, SHOWN))
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
    """Return one credit as the preview writes it."""
    asset = credit.template.asset
    value = formatting.format_money(asset.total_value, asset.currency)
    return {"title": credit.title, "value": value, "pool": asset.pool, "ends": formatting.format_moment_cell(asset.expires_at)}


@contextmanager
def credit_file(content: bytes, actor: User, pool: CreditPool | None, expected: Contents | None = None) -> Iterator[CreditFile]:
    """Yield the content as a file that may be read more than once."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content)
        file.flush()
        yield CreditFile(Path(file.name), actor, pool, expected=expected, max_validated=MOST_JUDGED)


def store_upload(actor: User, content: bytes, pool: CreditPool | None, contents: Contents) -> str:
    """Keep a checked file for half an hour where every web process finds it, and return its key.

    A row of its own among the sessions, signed and thrown away like them: nobody's session grows by a megabyte.
    """
    store = SessionStore()
    store["import"] = {
        "by": str(actor.pk),
        "content": b64encode(content).decode(),
        "pool": str(pool.pk) if pool else None,
        "count": contents.count,
        "digest": contents.digest,
    }
    store.set_expiry(KEPT_SECONDS)
    store.create()
    return str(store.session_key)


def take_upload(actor: User, key: str) -> dict[str, Any] | None:
    """Return what was put aside under the key, once: a form that is sent twice imports once. None when it is gone."""
    kept = SessionStore(key).load().get("import") if key else None
    if kept is None or kept["by"] != str(actor.pk) or not Session.objects.filter(session_key=key).delete()[0]:
        return None
    return kept  # type: ignore[no-any-return]


def confirm_import(request: HttpRequest) -> HttpResponse:
    """Import the file that was shown, all or none."""
    actor = require_operator(request)
    if request.method != "POST":
        raise PermissionDenied
    kept = take_upload(actor, request.POST.get("key", ""))
    if kept is None:
        messages.warning(
            request, _("This file was imported already, or it waited longer than half an hour. Nothing was done now.")
        )
        return redirect("admin:assets_cashbackasset_changelist")
    pool = CreditPool.objects.filter(pk=UUID(kept["pool"])).first() if kept["pool"] else None
    expected = Contents(kept["count"], digest=kept["digest"])
    try:
        with credit_file(b64decode(kept["content"]), actor, pool, expected) as file:
            count = import_csv.import_assets(file)
    except (Refusal, forms.ValidationError) as error:
        messages.error(request, f"{error_sentence(error)} {_('Upload the file again to see what is wrong with it.')}")
        return redirect("admin:assets_cashbackasset_import")
    messages.success(
        request, ngettext("%(count)s credit imported.", "%(count)s credits imported.", count) % {"count": f"{count:,}"}
    )
    return redirect("admin:assets_cashbackasset_changelist")
