"""A serializer that rejects unknown fields."""

from collections.abc import Mapping
from typing import Any, cast

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail


class StrictSerializer(serializers.Serializer[Any]):
    """Rejects unknown fields, so that a typo is never ignored. It must be the first base class of an input serializer."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input; raise ValidationError with the errors of all fields, unknown ones included."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        errors = self.unknown_fields(data)
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors |= cast(dict[str, Any], error.detail)
        if errors:
            valid = {name: data[name] for name in data if name in self.fields and name not in errors}
            raise serializers.ValidationError(self.further_errors(valid) | errors)
        return values

    def unknown_fields(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """Return an error for each field that is not known."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        message = f"Unknown field. Allowed: {', '.join(sorted(known)) or 'none'}."
        return {str(name): [ErrorDetail(message, "unknown")] for name in data if name not in known}

    def further_errors(self, valid: dict[str, Any]) -> dict[str, Any]:
        """Return what the action would refuse of the valid fields of an invalid body, so that all errors are shown at once.

        Arguments:
            valid: the fields that have no error, as they were sent.
        """
        return {}
