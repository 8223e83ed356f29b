"""Forms that do not save over a change that was made after they were opened.

The page carries the values of the row as the form showed them. If the row has others when the form comes back, the form is
refused: it says what changed, keeps what was typed, and shows the new values in the fields that were not touched.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib.admin import ModelAdmin
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from kernel.timestamps import format_second
from kernel.versions import ChangedMeanwhile, values_of

OPENED = "_opened"  # the name of the hidden input


@dataclass(frozen=True)
class LastChange:
    """Who made a change (a person or a channel), and when."""

    who: str
    at: datetime


class OpenedForm(forms.ModelForm[Any]):
    """A form of one row that is refused when the row has changed since the form was opened.

    moving: fields that the product itself changes all the time; when they were not touched, they keep the stored value.
    """

    moving: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        columns = {field.name for field in self.instance._meta.concrete_fields}
        names = [name for name, field in self.fields.items() if name in columns and not field.disabled]
        self.stored = {} if self.instance._state.adding else values_of(self.instance, names)
        self.opened = self.read_opened()
        if moved := [name for name in self.moved_names() if name in self.moving]:
            self.data = self.with_new_values(moved)

    @property
    def salt(self) -> str:
        """What the signature of the hidden input is bound to: the row."""
        return f"{__name__}:{self.instance._meta.label}:{self.instance.pk}"

    def read_opened(self) -> dict[str, str | None] | None:
        """Return the values that the form showed when it was opened, or None when it does not carry any."""
        if not (token := self.data.get(OPENED)) or not self.stored:
            return None
        try:
            opened: dict[str, str | None] = signing.loads(token, salt=self.salt)
        except signing.BadSignature:
            return {}  # nothing is known of it, so every field counts as changed
        return opened

    def opened_input(self) -> SafeString:
        """Return the hidden input. After an error other than a change it still carries the values of the first page."""
        token = self.data.get(OPENED) or signing.dumps(self.stored, salt=self.salt)
        return format_html('<input type="hidden" name="{}" value="{}">', OPENED, token) if self.stored else SafeString("")

    def moved_names(self) -> list[str]:
        """Return the fields whose stored value is no longer the one that the form showed."""
        if self.opened is None:
            return []
        return [name for name in self.stored if self.opened.get(name, ...) != self.stored[name]]

    def require_unchanged(self, row: Model) -> None:
        """Raise ChangedMeanwhile unless the locked row is as the form showed it (a precondition of actions)."""
        if self.opened is not None and values_of(row, self.stored) != self.opened:
            raise ChangedMeanwhile

    def clean(self) -> dict[str, Any]:
        """Refuse the form, with an error beside each field that changed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        moved = [name for name in self.moved_names() if name not in self.moving]
        if moved:
            for name in moved:
                self.add_error(name, ValidationError(self.change_sentence(name), code="changed_meanwhile"))
            self.add_error(None, ValidationError(changed_sentence(), code="changed_meanwhile"))
            self.data = self.with_new_values(moved)
            self.data[OPENED] = signing.dumps(self.stored, salt=self.salt)  # type: ignore[index]
        return cleaned

    def change_sentence(self, name: str) -> str:
        """Return what happened to a field after the form was opened: by whom, when, and both values."""
        opened = self.opened or {}
        values = {"now": self.show_value(name, self.stored[name])}
        values["was"] = self.show_value(name, opened[name]) if name in opened else _("unknown")
        if change := self.last_change(name):
            values |= {"who": change.who, "at": f"{format_second(change.at)} UTC"}
            return _("%(who)s changed this from %(was)s to %(now)s on %(at)s, after you opened the form.") % values
        return _("This was changed from %(was)s to %(now)s after you opened the form.") % values

    def last_change(self, name: str) -> LastChange | None:
        """Return the latest change of a field; None where no history records it."""
        return None

    def show_value(self, name: str, text: str | None) -> str:
        """Return a column's value for people."""
        field: Any = self.instance._meta.get_field(name)
        value = field.to_python(text)
        if value is None or value == "":
            return _("none")
        if isinstance(value, datetime):
            return f"{format_second(value)} UTC"
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if field.remote_field:
            return str(field.related_model._base_manager.filter(pk=value).first() or value)
        return str(dict(field.flatchoices).get(value, value))

    def with_new_values(self, names: list[str]) -> Any:
        """Return the submitted data, in which those of the fields `names` that were not touched have the stored value."""
        data = self.data.copy()  # type: ignore[attr-defined]
        for name in names:
            field, html_name = self.fields[name], self.add_prefix(name)
            typed = field.widget.value_from_datadict(data, self.files, html_name)
            if self.opened and name in self.opened and not field.has_changed(self.opened_initial(name), typed):
                write_value(data, field.widget, html_name, self.get_initial_for_field(field, name))
        return data

    def opened_initial(self, name: str) -> Any:
        """Return the initial value that the field had when the form was opened."""
        value = self.instance._meta.get_field(name).to_python((self.opened or {})[name])
        return value.replace(microsecond=0) if isinstance(value, datetime) else value


def changed_sentence() -> str:
    """Return the message above a form whose row was changed."""
    return _(
        "This was changed after you opened the form, so nothing was saved. What you typed is kept; the other fields show the "
        "new values. Check them and save again."
    )


def write_value(data: Any, widget: forms.Widget, name: str, value: Any) -> None:
    """Write a value into submitted data as the widget's inputs would send it."""
    if isinstance(widget, forms.MultiWidget):
        for each, suffix, part in zip(widget.widgets, widget.widgets_names, widget.decompress(value), strict=True):  # type: ignore[attr-defined, arg-type]
            write_value(data, each, f"{name}{suffix}", part)
    elif isinstance(widget, forms.CheckboxInput):
        data.pop(name, None)
        if value:
            data[name] = "on"
    else:
        shown = widget.format_value(value)
        data[name] = (shown[0] if isinstance(shown, list) else shown) or ""


class LockedRowMixin(ModelAdmin[Any]):
    """Locks the row of a form that is being saved, so that it cannot change between the form's check and the save."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row: locked within the transaction in which Django saves a form."""
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST" and connection.in_atomic_block:
            locked = self.get_queryset(request).select_for_update(no_key=True, of=("self",))
            return locked.filter(pk=found.pk).first()
        return found
