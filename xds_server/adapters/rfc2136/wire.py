"""The wire to one DNS server: signed updates and zone transfers over TCP, plain questions, and every failure in words.

Knows dnspython, the server's address and the key. Does not know what the messages are about.
"""

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataset
import dns.tsig
import dns.update
import dns.xfr
import dns.zone

from xds_server.ports import Unavailable

TIMEOUT_S: Final = 5.0
_LISTING_TIMEOUT_S: Final = 10.0
_SECRET = re.compile(r'\bsecret:?\s+"?([A-Za-z0-9+/]+={0,2})"?')
_DISTRUST: Final = (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime, dns.message.UnknownTSIGKey)


class NoTransfer(Exception):
    """The server does not hand out the whole zone."""


@dataclass(frozen=True, slots=True)
class Key:
    """A TSIG key. The secret stays in its file until needed: what ``tsig-keygen`` or ``keymgr -t`` wrote, or base64."""

    name: str
    algorithm: str
    secret_file: Path

    def read(self) -> dns.tsig.Key:
        """Return the key for signing; raises Unavailable, whose words never hold the secret."""
        try:
            text = self.secret_file.read_text(encoding="utf-8").strip()
            found = _SECRET.search(text)
            secret = b64decode(found.group(1) if found else text, validate=True)
            return dns.tsig.Key(self.name, secret, self.algorithm)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no base64 secret"
            raise Unavailable("secret", f"TSIG key {self.name}: {self.secret_file} cannot be used: {why}") from None


class Wire:
    """Talks to one server. Every failure is Unavailable, in words that name the server, and a key that is at fault."""

    def __init__(self, name: str, address: str, port: int, key: Key | None) -> None:
        self._at = f"DNS server {name} at {address} port {port}"
        self._address = address
        self._port = port
        self._key = key

    async def update(self, message: dns.update.UpdateMessage, zone: str) -> dns.rcode.Rcode:
        """Send an update; return the verdict where it is about the update and not about us (FORMERR: too large)."""
        if self._key:
            message.use_tsig(self._key.read())
        try:
            answer = await dns.asyncquery.tcp(message, self._address, timeout=TIMEOUT_S, port=self._port)
        except dns.exception.TooBig:
            return dns.rcode.FORMERR  # it was not sent
        except Exception as error:
            raise self._failure(error, zone) from error
        code = answer.rcode()
        if code in {dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.SERVFAIL}:
            raise self._refusal(zone, code)
        return code

    async def ask(self, name: str, kind: str) -> list[dns.rdataset.Rdataset]:
        """Ask like anybody, unsigned: Knot refuses a signed question of a key that may only update."""
        query = dns.message.make_query(name + ".", kind, use_edns=0, payload=1232)
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, self._address, TIMEOUT_S, self._port)
        except Exception as error:
            raise self._failure(error, name) from error
        if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise self._refusal(name, answer.rcode())
        wanted = dns.name.from_text(name + ".")
        return [rrset.to_rdataset() for rrset in answer.answer if rrset.name == wanted]

    async def transfer(self, zone: str) -> dns.zone.Zone:
        """Return the whole zone; raises NoTransfer where that is not allowed (what is really wrong, writing tells)."""
        target = dns.zone.Zone(zone + ".", relativize=False)
        query, _ = dns.xfr.make_query(target, serial=None)
        if self._key:
            query.use_tsig(self._key.read())
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT_S):
                await dns.asyncquery.inbound_xfr(self._address, target, query, port=self._port, timeout=TIMEOUT_S)
        except (dns.xfr.TransferError, dns.exception.FormError, *_DISTRUST, EOFError) as error:
            raise NoTransfer(str(error)) from error
        except Exception as error:
            raise self._failure(error, zone) from error
        return target

    def _failure(self, error: Exception, subject: str) -> Unavailable:
        for kind, reason, words in _FAILURES:
            if isinstance(error, kind):
                return Unavailable(reason, f"{self._at}: {words(error, self._key)}")
        if isinstance(error, dns.exception.FormError) and "TSIG" in str(error):
            why = f"answers about {subject} without a signature: it does not serve that, or does not know the key"
            return Unavailable("zone", f"{self._at}: {why}")
        return Unavailable("malformed", f"{self._at}: {type(error).__name__}: {error}")

    def _refusal(self, subject: str, code: dns.rcode.Rcode) -> Unavailable:
        signed = f"key {self._key.name}" if self._key else "an unsigned request (no tsig: is configured)"
        words = {
            dns.rcode.REFUSED: ("refused", f"refuses {signed} what was asked of {subject}; allow it there"),
            dns.rcode.NOTAUTH: ("zone", f"does not serve zone {subject}, or not to {signed}"),
            dns.rcode.NOTZONE: ("zone", f"says that a name is outside of zone {subject}"),
        }
        reason, text = words.get(code, ("failed", f"failed at {subject}: {dns.rcode.to_text(code)}"))
        return Unavailable(reason, f"{self._at} {text}")


def _about_key(error: Exception, key: Key | None) -> str:
    name = key.name if key else "none"
    said = str(error) or type(error).__name__
    return f"the TSIG key {name} is not accepted ({said}); compare name, algorithm and secret on both sides, and clocks"


_FAILURES: Sequence[tuple[tuple[type[Exception], ...], str, Callable[[Exception, Key | None], str]]] = (
    ((dns.exception.Timeout, TimeoutError), "timeout", lambda _, __: f"no answer within {TIMEOUT_S:g} s"),
    (_DISTRUST, "signature", _about_key),
    ((OSError, EOFError), "connect", lambda error, _: f"cannot be reached ({error})"),
)
