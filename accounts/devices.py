"""Devices of sign-ins: what is kept of the client, and its browser or app in words."""

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

# The first match decides: Edge and Opera also claim to be Chrome, and Chrome to be Safari.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox|FxiOS", "Firefox"),
    ("Chrome|CriOS", "Chrome"),
    ("Safari", "Safari"),
    ("okhttp|Dalvik", "Android app"),
    ("CFNetwork|Darwin", "iOS app"),
    ("curl", "curl"),
    ("python", "Python"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPod", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh|Mac OS", "Mac"),
    ("Linux|X11", "Linux"),
)


@dataclass(frozen=True)
class Client:
    """What is kept of the client of a sign-in."""

    address: str = ""
    user_agent: str = ""


def describe_device(user_agent: str) -> str:
    """Return the browser or app and its system in words, such as "Chrome on Windows"."""
    browser, system = (first_match(names, user_agent) for names in (BROWSERS, SYSTEMS))
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown device")


def first_match(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    """Return the name of the first pattern that the user agent contains, or an empty string."""
    return next((name for pattern, name in names if re.search(pattern, user_agent, re.IGNORECASE)), "")
