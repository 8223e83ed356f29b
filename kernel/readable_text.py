"""Text that others read: one normal form, and no character that is invisible or changes the direction of its neighbours.

The rules are PRECIS' FreeformClass with the profile OpaqueString (RFC 8264, RFC 8265 §4.2): Unicode NFC, every space is U+0020,
no control, format, bidi, private or unassigned characters; a joiner only where a script needs it.
"""

import unicodedata

from django.core.exceptions import ValidationError
from precis_i18n import get_profile

OPAQUE_STRING = get_profile("OpaqueString")
BLANK = {"\N{BRAILLE PATTERN BLANK}"}  # a symbol in Unicode, and yet nothing to see


def normal_text(text: str) -> str:
    """Return the text as it is stored, compared and searched: in NFC, with plain spaces and none around it. Never raises."""
    if text.isascii():
        return text.strip()
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    return unicodedata.normalize("NFC", spaced).strip()


def unreadable_character(text: str) -> str | None:
    """Return the first character that others could not see or read safely; None if there is none."""
    if text.isascii() and text.isprintable():
        return None
    try:
        OPAQUE_STRING.enforce(text or " ")
    except UnicodeEncodeError as error:
        return text[error.start]
    return next((letter for letter in text if letter in BLANK), None)


def check_readable(text: str) -> None:
    """Raise ValidationError if the text has a character that is invisible or unsafe for others to read."""
    if letter := unreadable_character(text):
        raise ValidationError(f"Remove the invisible or unsupported character U+{ord(letter):04X}.", code="unreadable")
