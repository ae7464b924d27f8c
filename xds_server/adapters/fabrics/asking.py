"""Asking: one request to a fabric's controller, logged in, with every way of not answering told apart.

Knows HTTP, TLS, secrets in files, when to log in again (once) and when a pause is asked for. Does not know any vendor's
paths or bodies.
"""

import ssl
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import httpx

from xds_server.ports import Throttled, Unavailable

P = ParamSpec("P")
T = TypeVar("T")
_TIMEOUT_S: Final = 15.0  # of an answer: a busy controller takes seconds for a write
_CONNECT_S: Final = 3.0
_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 60.0
_LONGEST_WORDS: Final = 300
_BUSY: Final = {429, 503}
_LOGGED_OUT: Final = {401, 403}


@dataclass(frozen=True, slots=True)
class Access:
    """How a controller is reached. The password is read from its file at each login and stands nowhere else.

    ``owner``: what tells our objects from another installation's. ``ca``: whom to trust instead of the system's
    certificate authorities. ``transport`` is for tests.
    """

    url: str
    owner: str = "xds-server"
    username: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON body of an answer; an empty body is an empty mapping."""

    status: int
    body: Mapping[str, Any]


class Login(Protocol):
    """How a vendor's session is opened."""

    async def open(self, client: httpx.AsyncClient) -> httpx.Response:
        """Log in and return the answer; its errors are told by the caller."""
        ...

    def headers(self, answer: httpx.Response) -> Mapping[str, str]:
        """Return what each request carries from now on; raises ValueError or LookupError when it is no session."""
        ...


class Asking:
    """One controller. Without a ``login`` nobody logs in."""

    def __init__(self, at: str, access: Access, login: Login | None) -> None:
        self.at = f"{at} at {access.url}"
        self._access = access
        self._login = login
        self._headers: Mapping[str, str] | None = None
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        allowed: Collection[int] = (),
        **more: Mapping[str, str],
    ) -> Reply:
        """Return the answer if it is a 2xx or ``allowed``; ``more``: params, headers. Raises Unavailable, Throttled."""
        for again in (False, True):
            client = self._opened()
            if self._headers is None:
                self._headers = await self._log_in(client)
            headers = {**self._headers, **more.get("headers", {})}
            request = client.build_request(method, path, json=body, params=more.get("params"), headers=headers)
            answer = await self._send(client, request)
            if answer.status_code in _LOGGED_OUT and self._login:
                self._headers = None  # the session is over: log in again, once
                if not again:
                    continue
            return self._reply(answer, method, path, allowed)
        raise AssertionError  # the second round returns or raises

    async def close(self) -> None:
        """Hang up."""
        if self._client:
            await self._client.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._access.url,
                timeout=httpx.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
                transport=self._access.transport,
                trust_env=False,
                verify=self._trusted(),
            )
        return self._client

    def _trusted(self) -> ssl.SSLContext | bool:
        if self._access.ca is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._access.ca)
        except OSError as error:  # ssl.SSLError is one
            raise Unavailable("secret", f"{self.at}: {self._access.ca} cannot be used: {error.strerror}") from None

    async def _log_in(self, client: httpx.AsyncClient) -> Mapping[str, str]:
        if self._login is None:
            return {}
        client.cookies.clear()  # an old session's cookie would stand beside the new one
        try:
            answer = await self._login.open(client)
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        self._reply(answer, "the login", "", ())
        try:
            return self._login.headers(answer)
        except (ValueError, LookupError, TypeError) as error:
            raise Unavailable("malformed", f"{self.at}: the answer to the login is no session") from error

    async def _send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        try:
            return await client.send(request)
        except httpx.HTTPError as error:
            raise self._silent(error) from error

    def _silent(self, error: httpx.HTTPError) -> Unavailable:
        if isinstance(error, httpx.TimeoutException):
            return Unavailable("timeout", f"{self.at}: no answer in time ({type(error).__name__})")
        return Unavailable("connect", f"{self.at}: cannot be reached ({error})")

    def _reply(self, answer: httpx.Response, method: str, path: str, allowed: Collection[int]) -> Reply:
        status, where = answer.status_code, f"{self.at}: {method} {path}".rstrip()
        if status in _BUSY:
            raise Throttled(f"{where}: status {status}, it is busy", _pause_s(answer))
        if status in _LOGGED_OUT and status not in allowed:
            who = f"user {self._access.username!r}" if self._login else "nobody logged in; a user"
            raise Unavailable("refused", f"{where}: status {status}: {who} is refused or lacks the right for it")
        if not answer.is_success and status not in allowed:
            raise Unavailable("failed", f"{where}: status {status}: {_words(answer)}")
        try:
            body = answer.json() if answer.content else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unavailable("malformed", f"{where}: status {status} with something that is no JSON object")
        return Reply(status, body)


def understood(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let a call whose answers have another shape than documented be told as malformed, not as a crash."""

    @wraps(method)
    async def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise Unavailable("malformed", f"{method.__qualname__}: an answer has another shape ({what})") from error

    return told


def secret(access: Access) -> str:
    """Return the password; raises Unavailable: secret."""
    if access.password_file is None:
        raise Unavailable("secret", f"{access.url}: no password_file is configured")
    try:
        return access.password_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise Unavailable("secret", f"{access.password_file} cannot be read: {error}") from None


def shortened(words: object) -> str:
    """Return somebody else's words as one line of bounded length."""
    return " ".join(str(words).split())[:_LONGEST_WORDS]


def _words(answer: httpx.Response) -> str:
    if "html" in answer.headers.get("content-type", "") or answer.text.lstrip().startswith("<"):
        return "an HTML page instead of an answer"
    return shortened(answer.text) or "no words"


def _pause_s(answer: httpx.Response) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdigit() else _PAUSE_S
