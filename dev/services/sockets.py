"""Small talk with a server over its unix socket."""

import socket
from pathlib import Path


def is_listening(path: Path) -> bool:
    """Tell whether a server listens on the socket at `path`."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except (BlockingIOError, TimeoutError):
            # Its queue of newcomers is full: it is there, and busy.
            return True
        except OSError:
            return False
    return True


def ask_redis(path: Path, command: str) -> str:
    """Return Redis's whole answer to one inline command; empty when it is not there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
            client.sendall(f"{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode(errors="replace")
        except OSError:
            return ""
