"""Who may ask: whoever knows the token in the address, through the name of this machine only.

A page of another site can neither read nor post: a name of its own that leads to this machine (DNS
rebinding) is refused by the Host header, its requests by Origin and Sec-Fetch-Site, and the token
is not known to it. No answer may load anything from elsewhere (Content-Security-Policy).
"""

import ipaddress
import json
import secrets
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ANYWHERE = ("0.0.0.0", "::")  # addresses to listen on that are all of the machine's
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
DECIDE = ("host", "origin", "sec-fetch-site", "sec-fetch-dest")
READING = ("GET", "HEAD")
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


def new_token() -> str:
    """128 random bits, as text for an address."""
    return secrets.token_urlsafe(16)


class Guard:
    """Passes on what may be asked under /TOKEN/, with the headers above; all else ends here."""

    def __init__(self, app: ASGIApp, token: str, host: str, port: int) -> None:
        """host, port: what the server listens on."""
        self._app, self._token, self._port = app, token, port
        self._anywhere = host in ANYWHERE
        self._hosts = {f"{name}:{port}" for name in (*LOOPBACK, _bracketed(host))}
        if port == 80:
            self._hosts |= {*LOOPBACK, _bracketed(host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status, why = self._refusal(scope)
            if status:
                await _say(send, status, why)
            else:
                await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        asked = _one_of_each(scope["headers"])
        if asked is None or not self._is_own(host := asked.get("host", "")):
            return 403, "this address is not that of the review page"
        if (origin := asked.get("origin")) is not None and origin.lower() != f"http://{host}":
            return 403, "pages of other sites may not ask here"
        # To follow a link from elsewhere is no harm: who has the link has the token
        follows = scope["method"] == "GET" and asked.get("sec-fetch-dest") == "document"
        if asked.get("sec-fetch-site", "none") not in ("same-origin", "none") and not follows:
            return 403, "pages of other sites may not ask here"
        token = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return 404, "there is nothing here: the address is printed where the server runs"
        if scope["method"] not in (*READING, "POST"):
            return 405, "GET and POST only"
        return 0, ""

    def _is_own(self, host: str) -> bool:
        if host in self._hosts:
            return True
        name, _, port = host.rpartition(":")
        return self._anywhere and port == str(self._port) and _is_address(name)


def _one_of_each(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Those that decide, lower case; None where one of them is there twice."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        if key in DECIDE:
            if key in found:
                return None
            found[key] = value.decode("latin-1").lower()
    return found


def _is_address(name: str) -> bool:
    """Whether it is a number: a name could be anyone's."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name for name, _ in message["headers"]}
            more = [(name, value) for name, value in _ENCODED if name not in given]
            if b"cache-control" not in given:
                more.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _say(send: Send, status: int, why: str) -> None:
    headers = [*_ENCODED, (b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": why}).encode()})
