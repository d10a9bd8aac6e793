"""Messages to addresses that people typed in: never to this machine or its network, never further than they were sent.

They are signed as https://www.standardwebhooks.com describes, so that receivers find a library for it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

TIMEOUT = 10.0
"""Seconds for the whole of it, from the name's address to the answer."""
ANSWER = 2_000
"""Bytes of an answer that are read."""
PREFIX = "whsec_"
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Undelivered(Exception):
    """It did not arrive; the message says why. `status` is what the server answered, if it did."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class RefusedAddress(Exception):
    """The address is not one to send to: trying again would not help."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of id, time and body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def headers(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": "AfterImage-Web",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, id, timestamp, body),
    }


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer, from 200 to 299. Raises Undelivered and RefusedAddress."""
    check_address(url)
    try:
        return asyncio.run(_post(url, body, headers))
    except TimeoutError as error:
        raise Undelivered(f"No answer within {TIMEOUT:.0f} s.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}"[:500]) from error


async def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    # The name is looked up once, in the connector: what was checked is what is connected to.
    connector = aiohttp.TCPConnector(resolver=_CheckedResolver(), use_dns_cache=False, force_close=True)
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=limit, auto_decompress=False) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        said = (await answer.content.read(ANSWER)).decode(errors="replace")
    if not 200 <= answer.status < 300:
        raise Undelivered(f"The server answered {answer.status}: {' '.join(said.split())[:300]}", answer.status)
    return answer.status


def check_address(url: str) -> None:
    """Raises RefusedAddress for another scheme than http(s), and for a number that stands for a private address.

    Names are looked up only when something is sent.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedAddress("The address must begin with https:// or http:// and name a host.")
    # aiohttp asks no resolver for numbers, and inet_aton reads 127.1 and 2130706433 as the operating system would.
    try:
        number = ipaddress.ip_address(parts.hostname.strip("[]").split("%")[0])
    except ValueError:
        try:
            number = ipaddress.ip_address(socket.inet_aton(parts.hostname))
        except (OSError, UnicodeError):
            return
    _check(number)


def _check(address: Address) -> None:
    if not (settings.ALLOW_PRIVATE_WEBHOOKS or _is_public(address)):
        raise RefusedAddress("The address lies in a private network: webhooks go to public servers only.")


def _is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach it. Addresses that carry another one are as public as that."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried:
            return _is_public(carried)
    return address.is_global and not address.is_multicast


class _CheckedResolver(AbstractResolver):
    """Looks a name up as the system does, and refuses it if any of its addresses is private."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        for _, _, _, _, place in found:
            _check(ipaddress.ip_address(str(place[0]).split("%")[0]))
        return [_result(host, port, kind, protocol, place) for kind, _, protocol, _, place in found]

    async def close(self) -> None:
        pass


def _result(host: str, port: int, family: int, protocol: int, place: tuple[Any, ...]) -> ResolveResult:
    return {
        "hostname": host, "host": place[0], "port": port, "family": family, "proto": protocol,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }  # fmt: skip
