"""A serializer that rejects unknown fields."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Rejects unknown fields, so that a typo is never ignored. It must be the first base class of an input serializer."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input; raise ValidationError, which names each unknown field."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        unknown = [str(name) for name in data if name not in known] if isinstance(data, Mapping) else []
        if unknown:
            message = f"Unknown field. Allowed: {', '.join(sorted(known)) or 'none'}."
            raise serializers.ValidationError({key: [message] for key in unknown}, code="unknown")
        return super().to_internal_value(data)
