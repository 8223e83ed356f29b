"""Requests to a server over its Unix socket."""

import socket
from pathlib import Path


def is_listening(path: Path) -> bool:
    """Return whether a server listens on the socket at `path`."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except (BlockingIOError, TimeoutError):
            # Its listen queue is full: the server is up and busy.
            return True
        except OSError:
            return False
    return True


def ask_redis(path: Path, command: str) -> str:
    """Return the complete response of Redis to one inline command; empty when it is down."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            client.sendall(f"{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode(errors="replace")
        except OSError:
            return ""
