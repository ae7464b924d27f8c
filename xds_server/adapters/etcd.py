"""etcd: endpoints under a lease, in the layout that CoreDNS's etcd plugin serves (SkyDNS).

``a1.checkout.mesh.test`` is the key ``/skydns/test/mesh/checkout/a1`` with a small JSON document. What we wrote says so
in it and hangs on our lease: when we are gone for longer than that, etcd removes it. Everything else is left alone.
Knows aetcd. Does not know which endpoints there are.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

import aetcd
from aetcd import exceptions

from xds_server.domain.names import EndpointKey
from xds_server.domain.registration import Registration
from xds_server.ports import Registry, Unavailable

_TIMEOUT_S: Final = 3
_AGAIN_MS: Final = 1000
"""Between two attempts to connect. Left to itself gRPC would pause for up to two minutes, long after etcd is back."""
_FIRST: Final = 10  # the priority of level 0: CoreDNS takes 0 for none given, which is 10 to it
_BATCH: Final = 60  # etcd takes 128 operations in a transaction
_CHANNEL: Final = {"grpc.initial_reconnect_backoff_ms": _AGAIN_MS, "grpc.max_reconnect_backoff_ms": _AGAIN_MS}


class Etcd:
    """One etcd. ``lease_s``: so long after our last call our keys stay."""

    def __init__(self, url: str, *, lease_s: float = 15.0, owner: str = "xds-server") -> None:
        where = urlsplit(url)
        self.name = "etcd"
        self.lease_s = lease_s
        self._at = f"etcd at {url}"
        self._owner = owner
        self._client = aetcd.Client(
            where.hostname or "127.0.0.1", where.port or 2379, timeout=_TIMEOUT_S, options=_CHANNEL
        )
        self._lease: int | None = None
        self._held: dict[bytes, bytes] = {}

    async def keep(self, wanted: Mapping[EndpointKey, Registration]) -> Mapping[EndpointKey, str]:
        """Let exactly these hang on our lease; return why, for each key that is somebody else's."""
        keys = {_key(registration): key for key, registration in wanted.items()}
        values = {path: self._value(wanted[key]) for path, key in keys.items()}
        try:
            async with asyncio.timeout(10 * _TIMEOUT_S):
                await self._renew(values)
                await self._remove(path for path in self._held if path not in values)
                refused = await self._put({p: v for p, v in values.items() if self._held.get(p) != v})
        except (exceptions.ClientError, OSError, TimeoutError) as error:
            self._lease = None  # what of it was done is not known; the next call looks
            raise self._unavailable(error) from error
        return {keys[path]: f"{path.decode()} is somebody else's; remove it, or rename ours" for path in refused}

    async def close(self) -> None:
        """Hang up; the lease goes on until it ends."""
        await self._client.close()

    async def _renew(self, values: Mapping[bytes, bytes]) -> None:
        """Keep the lease alive; without one, begin one and see what is there of ours, to take it over."""
        if self._lease is not None and (await self._client.refresh_lease(self._lease)).TTL > 0:
            return
        self._lease, there = None, {}
        for directory in sorted({path.rpartition(b"/")[0] + b"/" for path in (*values, *self._held)}):
            for found in await self._client.get_prefix(directory):
                if self._is_ours(found.value):
                    there[found.key] = found.value
        self._held = there
        await self._remove(path for path in list(self._held) if path not in values)
        lease = (await self._client.lease(max(1, round(self.lease_s)))).id
        for batch in _batches(self._held.items()):
            await self._client.transaction(
                compare=[self._client.transactions.value(path) == value for path, value in batch],
                success=[self._client.transactions.put(path, value, lease) for path, value in batch],
                failure=[],
            )
        self._lease = lease

    async def _remove(self, paths: Iterable[bytes]) -> None:
        t = self._client.transactions
        for path in list(paths):
            await self._client.transaction(
                compare=[t.value(path) == self._held[path]], success=[t.delete(path)], failure=[]
            )
            del self._held[path]

    async def _put(self, values: Mapping[bytes, bytes]) -> list[bytes]:
        """Write many at once; where a batch does not fit what is there, one by one. Returns those that are not ours."""
        refused = []
        for batch in _batches(values.items()):
            if await self._put_together(batch):
                continue
            refused += [path for path, value in batch if not await self._put_together([(path, value)])]
        return refused

    async def _put_together(self, batch: Iterable[tuple[bytes, bytes]]) -> bool:
        t, batch = self._client.transactions, list(batch)
        there = [t.value(path) == self._held[path] if path in self._held else t.create(path) == 0 for path, _ in batch]
        done, _ = await self._client.transaction(
            compare=there, success=[t.put(path, value, self._lease) for path, value in batch], failure=[]
        )
        if done:
            self._held.update(batch)
        return bool(done)

    def _value(self, r: Registration) -> bytes:
        told = {"host": r.address, "port": r.port, "weight": r.weight, "ttl": r.ttl_s, "owner": self._owner}
        told["priority"] = _FIRST + r.level
        return json.dumps(told, sort_keys=True).encode()

    def _is_ours(self, value: bytes) -> bool:
        try:
            told: Any = json.loads(value)
        except ValueError:
            return False
        return isinstance(told, dict) and told.get("owner") == self._owner

    def _unavailable(self, error: Exception) -> Unavailable:
        if isinstance(error, (TimeoutError, exceptions.ConnectionTimeoutError)):
            return Unavailable("timeout", f"{self._at}: no answer within {_TIMEOUT_S} s")
        if isinstance(error, (OSError, exceptions.ConnectionFailedError)):
            return Unavailable("connect", f"{self._at}: cannot be reached ({error})")
        if isinstance(error, exceptions.UnauthenticatedError):
            return Unavailable("refused", f"{self._at}: asks for a user and a password, which this server has not")
        return Unavailable("failed", f"{self._at}: {type(error).__name__}: {error}")


def _key(r: Registration) -> bytes:
    return "/".join(["/skydns", *reversed(r.domain.split(".")), r.endpoint.lower()]).encode()


def _batches(items: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    waiting = iter(list(items))
    while batch := list(islice(waiting, _BATCH)):
        yield batch


_fits: Callable[[str], Registry] = Etcd
