"""Path converters of URLs."""

from django.urls import register_converter
from django.urls.converters import UUIDConverter


class AnyCaseUUIDConverter(UUIDConverter):
    """A UUID in lower, upper or mixed case (RFC 9562 §4); views get a UUID, so that answers have it in lower case."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")


register_converter(AnyCaseUUIDConverter, "any_case_uuid")
