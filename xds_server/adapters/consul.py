"""Consul: endpoints as services of one external node in its catalog, by its HTTP API.

Knows the requests. Does not know which endpoints there are. Proved against a recording of the API's shape only: no
Consul server is to be had where the tests run (docs/dns.md says so).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from xds_server.domain.names import EndpointKey
from xds_server.domain.registration import Registration
from xds_server.ports import Registry, Unavailable

_TIMEOUT_S: Final = 3.0
_BUSY: Final = {429, 503}


class Consul:
    """One Consul. ``owner``: the external node under which our services stand; another writer must have another."""

    def __init__(
        self,
        url: str,
        *,
        owner: str = "xds-server",
        token_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = "consul"
        self.lease_s = 180.0  # the catalog has no leases: so often it is compared with what should be there
        self._at = f"Consul at {url}"
        self._owner = owner
        self._token_file = token_file
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, transport=transport, trust_env=False)

    async def keep(self, wanted: Mapping[EndpointKey, Registration]) -> Mapping[EndpointKey, str]:
        """Register what is missing or different, deregister what is no longer wanted; nothing else of it is ours."""
        services = {
            f"{key.service}/{key.endpoint}": _service(f"{key.service}/{key.endpoint}", wanted[key]) for key in wanted
        }
        there = await self._there()
        for name in sorted(there.keys() - services.keys()):
            await self._ask("PUT", "/v1/catalog/deregister", {"Node": self._owner, "ServiceID": name})
        for name, service in sorted(services.items()):
            if there.get(name) != service:
                await self._ask("PUT", "/v1/catalog/register", self._registration(service))
        return {}

    async def close(self) -> None:
        """Hang up; what is registered stays."""
        await self._client.aclose()

    def _registration(self, service: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Node": self._owner,
            "Address": service["Address"],
            "NodeMeta": {"external-node": "true", "external-probe": "false"},
            "SkipNodeUpdate": True,
            "Service": service,
        }

    async def _there(self) -> dict[str, dict[str, Any]]:
        """Return our services as the catalog has them, in the shape in which we register them."""
        answer = await self._ask("GET", f"/v1/catalog/node-services/{self._owner}")
        try:
            told = answer.json()  # null while nothing of ours is there
            listed = [] if told is None else told.get("Services") or []
            return {s["ID"]: {name: s.get(name) for name in _FIELDS} for s in listed}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable("malformed", f"{self._at}: its answer is no catalog ({error})") from error

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=body, headers=self._headers())
        except httpx.TimeoutException as error:
            raise Unavailable("timeout", f"{self._at}: no answer within {_TIMEOUT_S:g} s") from error
        except httpx.HTTPError as error:
            raise Unavailable("connect", f"{self._at}: cannot be reached ({error})") from error
        if answer.status_code == httpx.codes.OK:
            return answer
        reason = "busy" if answer.status_code in _BUSY else "refused" if answer.status_code in {401, 403} else "failed"
        what = "the token lacks node:write and service:write" if reason == "refused" else answer.text[:200].strip()
        raise Unavailable(reason, f"{self._at}: {method} {path}: status {answer.status_code}: {what}")

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"X-Consul-Token": self._token_file.read_text(encoding="utf-8").strip()}
        except OSError as error:
            raise Unavailable("secret", f"{self._at}: {self._token_file} cannot be read: {error.strerror}") from None


_FIELDS: Final = ("ID", "Service", "Address", "Port", "Weights", "Meta")


def _service(name: str, r: Registration) -> dict[str, Any]:
    return {
        "ID": name,
        "Service": r.service,
        "Address": r.address,
        "Port": r.port,
        "Weights": {"Passing": r.weight, "Warning": 1},
        "Meta": {"domain": r.domain},
    }


_fits: Callable[[str], Registry] = Consul
