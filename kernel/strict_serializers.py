"""A serializer that refuses fields it does not know."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, so that a typo is never ignored. Put it first among the bases of any input."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated input; raise ValidationError that names each unknown field."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        unknown = [str(name) for name in data if name not in known] if isinstance(data, Mapping) else []
        if unknown:
            message = f"Unknown field. Known are: {', '.join(sorted(known)) or 'none'}."
            raise serializers.ValidationError({key: [message] for key in unknown}, code="unknown")
        return super().to_internal_value(data)
