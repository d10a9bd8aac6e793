"""Addresses of servers that people name."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

QDRANT = "https://qdrant.example.org or http://localhost:6333"


def check_web_address(url: str, example: str = QDRANT) -> None:
    """Hosts of one word are welcome: in a team's own network they are usual."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(letter.isspace() for letter in url):
        raise ValidationError(f"Enter an address such as {example}.")
    if parts.username or parts.password:
        raise ValidationError("Leave user and password out of the address: a key goes into its own field.")


def check_not_link_local(url: str, port: int) -> None:
    """Servers on this machine or network are fine; the link-local range, where clouds keep secrets, is not.

    `port` is the one meant where `url` names none. A name that nobody knows passes: asking it says so in better words.
    """
    try:
        parts = urlsplit(url)
        found = socket.getaddrinfo(parts.hostname or "", parts.port or port, proto=socket.IPPROTO_TCP)
    except (OSError, ValueError):
        return
    if any(is_link_local(str(address[4][0])) for address in found):
        raise ValidationError("That address is reserved for this machine's own network: enter another.")


def is_link_local(address: str) -> bool:
    found = ipaddress.ip_address(address.split("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_link_local
