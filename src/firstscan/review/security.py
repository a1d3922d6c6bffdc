"""Who may talk to the page: only those who know its address, which holds a secret, and only from this machine.

The secret is the first part of every path, not a cookie: browsers send cookies of 127.0.0.1 to every port, so any other
program that serves a page on this machine would get to see one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS = frozenset({"127.0.0.1", "localhost"})
"""Names under which this machine is reached; any other in the Host header is a name that was pointed here."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def new_token() -> str:
    """Return a secret that nobody guesses."""
    return secrets.token_urlsafe(32)


MOST_BODY = 1 << 20
"""Most bytes of a request's body that are read; a longer one gets 413, or 403 from those without the token."""


class _TooLongError(Exception):
    """A body of more than ``MOST_BODY`` bytes."""


class Guarded:
    """Lets requests through whose path begins with the token; all others get 403, whatever they ask for.

    Of a body without the token nothing is read, of one with it ``MOST_BODY`` bytes at most.
    """

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        first, slash, rest = scope["path"].lstrip("/").partition("/")
        known = secrets.compare_digest(first.encode(), self._token)
        if not (known and slash and _host_of(scope) in HOSTS):
            await _refuse(_with_headers(send), 403, NO_KEY)
            return
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        if (_length_of(scope) or 0) > MOST_BODY:
            await _refuse(_with_headers(send), 413, TOO_LONG)
            return
        try:
            body = [] if _length_of(scope) == 0 else await _body(receive)
        except _TooLongError:
            await _refuse(_with_headers(send), 413, TOO_LONG)
            return
        await self._app(inner, _replayed(body, receive), _with_headers(send))


NO_KEY = b"403: open the address that firstscan review has printed; it holds the key to this page."
TOO_LONG = b"413: this request is longer than anything that the review page sends."


def _length_of(scope: Scope) -> int | None:
    """Return the length that a request says its body has; 0 where it has none, None where it comes in parts."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    if b"transfer-encoding" in headers:
        return None
    said = headers.get(b"content-length", b"0")
    return int(said) if said.isdigit() else None


async def _body(receive: Receive) -> list[Message]:
    """Return the messages of a body.  Raises _TooLongError where there is more than ``MOST_BODY`` of it."""
    messages, size = [], 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > MOST_BODY:
            raise _TooLongError
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """Return a source that gives ``messages`` first, then what comes."""
    waiting = iter(messages)

    async def receiving() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return receiving


def _host_of(scope: Scope) -> str:
    """Return the name in the Host header without its port; empty where it is missing or given twice."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    name, colon, port = hosts[0].rpartition(":") if len(hosts) == 1 else ("", "", "")
    return name.lower() if colon and port.isdigit() else (hosts[0].lower() if len(hosts) == 1 else "")


def _with_headers(send: Send) -> Send:
    began, worked = time.perf_counter(), time.process_time()
    extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(n, v) for n, v in message.get("headers", ()) if n.decode("latin-1").lower() not in HEADERS]
            took, work = time.perf_counter() - began, time.process_time() - worked
            timing = f"app;dur={1000 * took:.1f}, cpu;dur={1000 * work:.1f}".encode()
            message = {**message, "headers": [*kept, *extra, (b"server-timing", timing)]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # nobody reads the rest of the body
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
