"""The forms of a typed password: keyboards write one letter in several ways, and a password must work on all of them.

RFC 8265 §4.2 (OpaqueString): Unicode NFC and plain spaces; case and width stay.
"""

from kernel.readable_text import OPAQUE_STRING


def normal_password(password: str) -> str:
    """Return the password in the form that is hashed; one with characters that are not allowed as it is."""
    try:
        return password if password.isascii() else OPAQUE_STRING.enforce(password)
    except UnicodeEncodeError:
        return password


def password_forms(password: str) -> list[str]:
    """Return the forms to check: the normal one, and as typed, which is what hashes from before this rule are of."""
    return list(dict.fromkeys((normal_password(password), password)))
