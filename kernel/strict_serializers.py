"""A serializer that rejects unknown fields and values of another JSON type."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

# Fields that in DRF also take other JSON types: "yes" or 1 as true, 5 as "5", and a number as a UUID.
JSON_TYPES: tuple[tuple[Any, type, str], ...] = (
    (serializers.BooleanField, bool, "Send true or false, without quotes."),
    ((serializers.CharField, serializers.UUIDField, serializers.RelatedField), str, "Send a string, in quotes."),
)


class StrictSerializer(serializers.Serializer[Any]):
    """Rejects unknown fields, so that a typo is never ignored, and values that are not of a field's JSON type.

    It must be the first base class of an input serializer.
    """

    default_error_messages: ClassVar = {"invalid": "Send a JSON object, with the fields in braces."}

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input; raise ValidationError with the errors of all fields, unknown ones included."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        errors = self.unknown_fields(data)
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors |= cast(dict[str, Any], error.detail)
        errors |= self.wrong_types(data)
        if errors:
            valid = {name: data[name] for name in data if name in self.fields and name not in errors}
            raise serializers.ValidationError(self.further_errors(valid) | errors)
        return values

    def unknown_fields(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """Return an error for each field that is not known."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        message = f"Unknown field. Allowed: {', '.join(sorted(known)) or 'none'}."
        return {str(name): [ErrorDetail(message, "unknown")] for name in data if name not in known}

    def wrong_types(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """Return an error for each value of another JSON type than its field's; each field decides about null itself."""
        return {
            name: [ErrorDetail(message, "invalid")]
            for fields, json_type, message in JSON_TYPES
            for name, value in data.items()
            if isinstance(self.fields.get(name), fields) and not isinstance(value, (json_type, type(None)))
        }

    def further_errors(self, valid: dict[str, Any]) -> dict[str, Any]:
        """Return what the action would refuse of the valid fields of an invalid body, so that all errors are shown at once.

        Arguments:
            valid: the fields that have no error, as they were sent.
        """
        return {}
