"""The headers that every answer bears, be it written by Django or by the web server before Django sees the request."""

# A page of ours loads what this host serves and nothing else, runs no script written into it, and stands in nobody's frame.
SAME_ORIGIN_SOURCES = "default-src 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; img-src 'self' data:"
NO_EMBEDDING = "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
STRICT_POLICY = f"{SAME_ORIGIN_SOURCES}; script-src 'self'; style-src 'self'; {NO_EMBEDDING}"
# The console's theme evaluates expressions in its markup (Alpine.js) and writes colours into style elements.
CONSOLE_POLICY = f"{SAME_ORIGIN_SOURCES}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; {NO_EMBEDDING}"
DISABLED_FEATURES = ("accelerometer", "camera", "geolocation", "gyroscope", "magnetometer", "microphone", "payment", "usb")
HEADERS = {
    "Permissions-Policy": ", ".join(f"{power}=()" for power in DISABLED_FEATURES),
    "Cross-Origin-Resource-Policy": "same-origin",
    # Who comes back after signing out, or shares the machine, finds no balance in the browser's cache.
    "Cache-Control": "no-store",
}
