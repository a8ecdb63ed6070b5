"""The socket that callers connect to, and how its address is written."""

from __future__ import annotations

import socket

from tiergate.errors import SettingsError


def address_of(host: str, listener: socket.socket) -> str:
    """Such as `http://127.0.0.1:8080`, under the name that ``host`` gives it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Listen; ``shared``: where other processes may listen too. Raises `SettingsError` where nobody can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener
