"""Restconf: a node whose interfaces are configured by RESTCONF (RFC 8040): ietf-interfaces as JSON, entry by entry.

Creates with POST, replaces with PUT, removes with DELETE; where the server tags its entries, only while nobody else has
changed them (If-Match). Knows requests and a server's words. Does not know what a subnet needs.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from xds_server.decisions.yang import Edit, Entry, Malformed, as_json, differences, edits, from_json
from xds_server.domain.interfaces import Interface
from xds_server.domain.names import SubnetId
from xds_server.ports import NodeConfigurator, Unavailable

_JSON: Final = "application/yang-data+json"
_DENIED: Final = frozenset({401, 403})
_INTERFACES: Final = "/data/ietf-interfaces:interfaces"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node's RESTCONF server is and how we prove who we are: a certificate, or a user with a password.

    ``commit`` and ``discard`` are operations for servers that gather changes until they are told, else ''.
    ``bare_entries``: the server takes an entry of a list by itself, not as a list of one (RFC 7951).
    """

    address: str
    port: int
    ca_file: Path
    certificate_file: Path | None = None
    key_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    root: str = "/restconf"
    commit: str = ""
    discard: str = ""
    bare_entries: bool = False
    timeout_s: float = 10.0

    @property
    def url(self) -> str:
        """Return the root of its API."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"https://{host}:{self.port}{self.root}"


class _Refused(Exception):
    """The server refused one change; the text is its own."""


class Restconf:
    """One node."""

    def __init__(self, place: Place, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._place = place
        self._at = f"RESTCONF at {place.url}"
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def observe(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[str, tuple[str, ...]]:
        """Return what differs from what is wanted, in words, by subnet. Raises Unavailable."""
        return differences(await self._read(), wanted)

    async def reconcile(self, wanted: Mapping[SubnetId, Interface]) -> Mapping[SubnetId, str]:
        """Make the node hold these interfaces and no others of ours; return its words for those it refused.

        Change by change, then read back. What a server that gathers refuses as a whole is tried one by one, so that one
        bad subnet does not keep the others. Raises Unavailable.
        """
        changes, refused = edits(await self._read(), wanted)
        done = await self._made(changes, refused)
        if done and (why := await self._committed()):
            alone = done if len(done) > 1 else []
            refused |= dict.fromkeys((change.subnet for change in done), why)
            done = [change for change in alone if await self._made_alone(change, refused)]
        return {**refused, **await self._read_back(done)}

    async def close(self) -> None:
        """Hang up; what is configured stays."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # ---- looking
    async def _read(self) -> list[Entry]:
        await self._discard()  # what an earlier run gathered and did not commit
        answer = await self._ask("GET", _INTERFACES, params={"content": "config"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        self._good(answer, Unavailable)
        found = self._json(answer, "ietf-interfaces:interfaces")
        try:
            return [from_json(told) for told in found.get("interface", [])]
        except (Malformed, AttributeError, TypeError) as error:
            raise Unavailable("malformed", f"{self._at}: {error}") from error

    def _json(self, answer: httpx.Response, member: str) -> Any:
        try:
            return answer.json()[member]
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("malformed", f"{self._at}: its answer is no {member} ({error})") from error

    # ---- doing
    async def _made(self, changes: list[Edit], refused: dict[SubnetId, str]) -> list[Edit]:
        """Change what the server lets us; return that, and why not for the rest in ``refused``."""
        done: list[Edit] = []
        for change in changes:
            try:
                await self._change(change)
            except _Refused as why:
                refused[change.subnet] = str(why)
            else:
                done.append(change)
        return done

    async def _made_alone(self, change: Edit, refused: dict[SubnetId, str]) -> bool:
        """Make and commit one change; return whether the server had it, else why not in ``refused``."""
        await self._discard()
        del refused[change.subnet]
        if not await self._made([change], refused):
            return False
        if why := await self._committed():
            refused[change.subnet] = why
        return not why

    async def _committed(self) -> str:
        """Commit where that is needed; return why the server would not, or ''."""
        if not self._place.commit:
            return ""
        answer = await self._ask("POST", f"/operations/{self._place.commit}")
        try:
            self._good(answer, _Refused)
        except _Refused as why:
            return str(why)
        return ""

    async def _discard(self) -> None:
        """Drop what was gathered, where servers gather; there may be nothing."""
        if self._place.discard:
            await self._ask("POST", f"/operations/{self._place.discard}")

    async def _change(self, change: Edit) -> None:
        path = f"{_INTERFACES}/interface={quote(change.name, safe='')}"
        body = None if change.entry is None else self._body(change.entry)
        if change.new:
            answer = await self._ask("POST", _INTERFACES, body)
        else:
            tag = await self._tag(path, change)
            answer = await self._ask("DELETE" if body is None else "PUT", path, body, tag)
        if not (body is None and answer.status_code == httpx.codes.NOT_FOUND):
            self._good(answer, _Refused)

    def _body(self, entry: Entry) -> dict[str, Any]:
        told = as_json(entry)
        return {"ietf-interfaces:interface": told if self._place.bare_entries else [told]}

    async def _tag(self, path: str, change: Edit) -> dict[str, str]:
        """Return what makes a change hold for our entry only, as it is now; {} where the server tags none."""
        answer = await self._ask("GET", path, params={"content": "config"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        self._good(answer, _Refused)
        told = self._json(answer, "ietf-interfaces:interface")
        try:
            owner = from_json(told[0]).owner
        except (Malformed, LookupError, TypeError) as error:
            raise Unavailable("malformed", f"{self._at}: {error}") from error
        if owner != change.subnet:
            raise _Refused(f"interface {change.name} is not ours any more; rename or remove it")
        tag = answer.headers.get("ETag")
        return {"If-Match": tag} if tag else {}

    async def _read_back(self, done: list[Edit]) -> dict[SubnetId, str]:
        """Tell what did not become as it was asked."""
        if not done:
            return {}
        there = {entry.name: entry for entry in await self._read()}
        return {
            change.subnet: f"accepted, and read back otherwise: {change.name}"
            for change in done
            if there.get(change.name) != change.entry
        }

    # ---- asking
    async def _ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        client = self._opened()
        kind = {} if body is None else {"Content-Type": _JSON}
        content = None if body is None else json.dumps(body).encode()
        url = self._place.root + path
        try:
            return await client.request(method, url, content=content, headers={**kind, **(headers or {})}, **more)
        except httpx.TimeoutException as error:
            raise Unavailable("timeout", f"{self._at}: no answer within {self._place.timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            told = str(error) or type(error).__name__
            why = "denied" if "certificate" in told.lower() else "connect"
            raise Unavailable(why, f"{self._at}: {told}") from error

    def _opened(self) -> httpx.AsyncClient:
        """Return the client; the files of who we are are read when there is none, so that new ones are taken up."""
        if self._client is None:
            place = self._place
            try:
                auth = (
                    (place.user, place.password_file.read_text("utf-8").rstrip("\r\n")) if place.password_file else None
                )
                trust = ssl.create_default_context(cafile=str(place.ca_file))
                if place.certificate_file:
                    trust.load_cert_chain(place.certificate_file, place.key_file)
            except (OSError, UnicodeDecodeError) as error:  # ssl.SSLError is an OSError
                files = ", ".join(str(f) for f in (place.ca_file, place.certificate_file, place.password_file) if f)
                raise Unavailable("secret", f"{self._at}: one of {files} cannot be used: {error}") from None
            self._client = httpx.AsyncClient(
                base_url=f"https://{httpx.URL(place.url).netloc.decode()}", http2=True, verify=trust, auth=auth,
                timeout=place.timeout_s, transport=self._transport, trust_env=False, headers={"Accept": _JSON},
            )  # fmt: skip
        return self._client

    def _good(self, answer: httpx.Response, otherwise: type[_Refused | Unavailable]) -> None:
        """Pass what is good; raise Unavailable: denied, where we may not; ``otherwise`` for any other refusal."""
        if answer.is_success:
            return
        said = f"status {answer.status_code}: {_words(answer)}"
        if answer.status_code in _DENIED:
            raise Unavailable("denied", f"{self._at}: {said}")
        raise Unavailable("refused", f"{self._at}: {said}") if otherwise is Unavailable else _Refused(said)


def _words(answer: httpx.Response) -> str:
    """Return the server's own words: of each of its errors the tag, the message and where; else what there is."""
    try:
        errors = answer.json()["ietf-restconf:errors"]["error"]
        parts = ("error-tag", "error-message", "error-path")
        told = "; ".join(": ".join(str(e[part]) for part in parts if e.get(part)) for e in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        told = answer.text
    return " ".join(told.split())[:500] or "no words"


_fits: Callable[[Place], NodeConfigurator] = Restconf
