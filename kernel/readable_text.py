"""Text that others read: one normal form, and no character that is invisible or changes the direction of its neighbours.

The rules are PRECIS' FreeformClass with the profile OpaqueString (RFC 8264, RFC 8265 §4.2): Unicode NFC, every space is U+0020,
no control, format, bidi, private or unassigned characters; a joiner only where a script needs it. Emoji are made of several
characters, of which some would be invisible elsewhere.
"""

import re
import unicodedata

from django.core.exceptions import ValidationError
from precis_i18n import get_profile

OPAQUE_STRING = get_profile("OpaqueString")
BLANK = {"\N{BRAILLE PATTERN BLANK}"}  # a symbol in Unicode, and yet nothing to see
# A class of characters in the notation of Python and PostgreSQL: pictures, which VARIATION SELECTOR-16 turns into an emoji.
EMOJI = (
    r"\u00A9\u00AE\u203C\u2049\u2122\u2139\u2194-\u21AA\u231A-\u23FF\u24C2\u25AA-\u25FE\u2600-\u27BF\u2934\u2935"
    r"\u2B00-\u2BFF\u3030\u303D\u3297\u3299\U0001F000-\U0001FAFF"
)
KEYS = "#*0-9"  # with the selector and U+20E3 they are emoji too
# The invisible characters of emoji: the selector after a picture or a key, and the joiner between two pictures.
EMOJI_PARTS = re.compile(
    rf"(?<=[{EMOJI}])\uFE0F|(?<=[{KEYS}])\uFE0F(?=\u20E3)|(?:(?<=[{EMOJI}])|(?<=[{EMOJI}]\uFE0F))\u200D(?=[{EMOJI}])"
)


def normal_text(text: str) -> str:
    """Return the text as it is stored, compared and searched: in NFC, with plain spaces and none around it. Never raises."""
    if text.isascii():
        return text.strip()
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    return unicodedata.normalize("NFC", spaced).strip()


def unreadable_character(text: str) -> str | None:
    """Return the first character that others could not see or read safely; None if there is none."""
    return unstable_character(EMOJI_PARTS.sub("", text))


def unstable_character(text: str) -> str | None:
    """Return the first character that is unreadable, or that a keyboard may leave out of an emoji; None if there is none."""
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
