"""The headers of every response, from Django or from the web server before Django sees the request."""

# A page loads only what this host serves, runs no inline script and cannot be embedded.
SAME_ORIGIN_SOURCES = "default-src 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; img-src 'self' data:"
NO_EMBEDDING = "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
STRICT_POLICY = f"{SAME_ORIGIN_SOURCES}; script-src 'self'; style-src 'self'; {NO_EMBEDDING}"
# The console's theme evaluates expressions in its markup (Alpine.js) and sets colours in style elements.
CONSOLE_POLICY = f"{SAME_ORIGIN_SOURCES}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; {NO_EMBEDDING}"
DISABLED_FEATURES = ("accelerometer", "camera", "geolocation", "gyroscope", "magnetometer", "microphone", "payment", "usb")
HEADERS = {
    "Permissions-Policy": ", ".join(f"{power}=()" for power in DISABLED_FEATURES),
    "Cross-Origin-Resource-Policy": "same-origin",
    # After signing out, or on a shared machine, the browser's cache must not show a balance.
    "Cache-Control": "no-store",
}
