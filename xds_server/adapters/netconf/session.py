"""Session: one NETCONF session over SSH; every call blocks, for at most its timeout, and is meant for a thread.

Knows SSH, keys and how a request is answered. Does not know what is asked. The host's key is always checked: this
library's own ``connect_ssh`` reads one and does not look at it, so SSH is set up here.
"""

import base64
import binascii
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import paramiko
from lxml import etree
from netconf_client.connect import SshSessionSock
from netconf_client.error import RpcError, SessionClosedException
from netconf_client.session import Session as Wire

from xds_server.adapters.netconf import words
from xds_server.ports import Unavailable

_CONFIRMED: Final = "urn:ietf:params:netconf:capability:confirmed-commit:"
_CANDIDATE: Final = "urn:ietf:params:netconf:capability:candidate:1.0"
_LOOK_S: Final = 0.1  # so often it is seen whether the other side has hung up


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node's NETCONF server is and how we prove who we are; a key wins over a password. Files are OpenSSH's."""

    address: str
    port: int
    user: str
    host_key_file: Path
    key_file: Path | None = None
    password_file: Path | None = None
    timeout_s: float = 10.0

    def __str__(self) -> str:
        return f"NETCONF at {self.address}:{self.port}"


class Refused(Exception):
    """The server refused one request; the text is its own."""


class Session:
    """An open session."""

    def __init__(self, place: Place) -> None:
        """Connect; raises Unavailable: timeout, connect, denied, refused, secret, malformed."""
        self._place = place
        self._numbers = itertools.count(1)
        host_key, who = _host_key(place), _who(place)
        with _told(place):
            tcp = socket.create_connection((place.address, place.port), place.timeout_s)
            self._transport = paramiko.Transport(tcp)
            try:
                self._wire = self._opened(tcp, host_key, who)
            except BaseException:
                self._transport.close()
                raise
        self.capabilities: frozenset[str] = frozenset(self._wire.server_capabilities)
        if _CANDIDATE not in self.capabilities:
            self.close()
            raise Unavailable("refused", f"{place}: it has no candidate configuration (:candidate), which is needed")

    def _opened(self, tcp: socket.socket, host_key: Any, who: dict[str, Any]) -> Wire:
        timeout_s = self._place.timeout_s
        self._transport.banner_timeout = self._transport.auth_timeout = timeout_s
        self._transport.connect(hostkey=host_key, username=self._place.user, **who)
        channel = self._transport.open_session(timeout=timeout_s)
        channel.settimeout(timeout_s)
        channel.invoke_subsystem("netconf")
        wire = Wire(SshSessionSock(tcp, self._transport, channel))
        channel.settimeout(None)  # from here on a thread reads; each request has its own time
        return wire

    @property
    def confirms(self) -> bool:
        """Return whether a commit can be made to undo itself unless it is confirmed."""
        return any(capability.startswith(_CONFIRMED) for capability in self.capabilities)

    def ask(self, operation: words.Element) -> words.Element:
        """Ask and return the answer; raises Refused with the server's words, Unavailable."""
        request = etree.Element(f"{{{words.BASE}}}rpc", nsmap={None: words.BASE})
        request.set("message-id", str(next(self._numbers)))
        request.append(operation)
        with _told(self._place):
            answer = self._wire.send_rpc(etree.tostring(request))
            try:
                return self._answer(answer)
            except RpcError as error:
                said = words.refusal(error.reply_ele) or "refused without a word"
                if words.is_denied(error.reply_ele):
                    raise Unavailable("denied", f"{self._place}: {said}") from None
                raise Refused(said) from None

    def _answer(self, answer: "Future[tuple[bytes, words.Element]]") -> words.Element:
        until = time.monotonic() + self._place.timeout_s
        while True:
            try:
                return answer.result(_LOOK_S)[1]
            except TimeoutError:
                if not self._wire.thread.is_alive() and not answer.done():
                    raise SessionClosedException("the other side has hung up") from None
                if time.monotonic() > until:
                    raise

    def close(self) -> None:
        """Hang up; what is locked is unlocked, what is not committed is forgotten. Safe from any thread."""
        if hasattr(self, "_wire"):
            self._wire.close()
        self._transport.close()


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Tell what SSH and its sessions raise in our few words."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable("timeout", f"{place}: no answer within {place.timeout_s:g} s") from error
    except paramiko.AuthenticationException as error:
        raise Unavailable("denied", f"{place}: user {place.user} is not let in: {error}") from error
    except paramiko.BadHostKeyException as error:
        raise Unavailable("denied", f"{place}: its host key is not the one in {place.host_key_file}") from error
    except paramiko.ChannelException as error:
        raise Unavailable("refused", f"{place}: no subsystem netconf there: {error}") from error
    except paramiko.SSHException as error:
        denied = "Bad host key" in str(error)
        why = f"its host key is not the one in {place.host_key_file}" if denied else str(error)
        raise Unavailable("denied" if denied else "connect", f"{place}: {why}") from error
    except (OSError, EOFError, SessionClosedException) as error:
        raise Unavailable("connect", f"{place}: {error or type(error).__name__}") from error
    except (etree.XMLSyntaxError, StopIteration, IndexError, TypeError, ValueError) as error:
        raise Unavailable("malformed", f"{place}: what it says is no NETCONF ({error})") from error


def _host_key(place: Place) -> Any:
    """Read ``ssh-ed25519 AAAA...`` (also with a host before it, as in known_hosts)."""
    text = _read(place, place.host_key_file)
    fields = next((line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")), [])
    kind = next((i for i, field in enumerate(fields) if field.startswith(("ssh-", "ecdsa-"))), len(fields))
    try:
        return paramiko.PKey.from_type_string(fields[kind], base64.b64decode(fields[kind + 1]))
    except (ValueError, IndexError, binascii.Error, paramiko.SSHException) as error:
        why = (
            f"{place.host_key_file} is no OpenSSH public key ({error}); `ssh-keyscan -p PORT ADDRESS` shows the host's"
        )
        raise Unavailable("secret", f"{place}: {why}") from error


def _who(place: Place) -> dict[str, Any]:
    if place.key_file is None:
        assert place.password_file  # the schema sees to it
        return {"password": _read(place, place.password_file).rstrip("\r\n")}
    _read(place, place.key_file)
    load: Callable[[Path], Any] = paramiko.PKey.from_path
    try:
        return {"pkey": load(place.key_file)}
    except (ValueError, TypeError, paramiko.SSHException) as error:
        raise Unavailable("secret", f"{place}: {place.key_file} is no private key without passphrase") from error


def _read(place: Place, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("secret", f"{place}: {path} cannot be read: {error}") from None
