"""The reading process: takes orders on stdin, fetches pages from Envoys, answers with numbers on stdout.

Knows HTTP and its limits (time, size, memory). Ends when stdin ends, so it never outlives the server. Does not know
which addresses are allowed (judged before) nor what the numbers mean.
"""

import asyncio
import resource
import sys

import httpx

from xds_server.adapters.envoy_stats.frames import Header, Unpacker, pack
from xds_server.adapters.envoy_stats.pages import Directory, parse_without_pauses
from xds_server.domain.telemetry import STATS_FILTER
from xds_server.ports import Unavailable

_CHUNK = 1 << 18
_AT_ONCE = 4
"""Pages held at once; with the size limit this bounds the memory."""


class Reader:
    """Answers orders: a new directory, or a page to read."""

    def __init__(self) -> None:
        self._directory = Directory(())
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._deadlines: set[asyncio.Timeout] = set()
        self._tcp = _client(httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None), trust_env=False))

    async def serve(self, orders: asyncio.StreamReader) -> None:
        """Answer until the orders end."""
        unpacker = Unpacker()
        _say(pack({"id": 0}))
        async with asyncio.TaskGroup() as group:
            while chunk := await orders.read(_CHUNK):
                for order, _ in unpacker.feed(chunk):
                    if "directory" in order:
                        self._directory = Directory((s, e, a, p) for s, e, a, p in order["directory"])
                    else:
                        group.create_task(self._answer(order, self._directory))

    async def _answer(self, order: Header, directory: Directory) -> None:
        try:
            async with self._slots:
                _say(await self._read(order, directory))
        except Unavailable as why:
            _say(pack({"id": order["id"], "reason": why.reason, "text": str(why).removeprefix(f"{why.reason}: ")}))
        except MemoryError:
            _say(pack({"id": order["id"], "reason": "too_large", "text": "the page does not fit into memory"}))
        except Exception as error:  # noqa: BLE001 - whatever a foreign page provokes is told; the process lives on
            text = f"{type(error).__name__}: {str(error)[:200]}"
            _say(pack({"id": order["id"], "reason": "malformed", "text": text}))

    async def _read(self, order: Header, directory: Directory) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(order["timeout_s"]) as deadline:
                self._deadlines.add(deadline)
                clusters, stats, read_at = await self._fetch(order["address"], order["max_bytes"])
        except TimeoutError:
            raise Unavailable("timeout", f"no whole page within {order['timeout_s']:g} s") from None
        finally:
            self._deadlines.discard(deadline)
        began = loop.time()
        try:
            rows, numbers = parse_without_pauses(clusters, stats, directory)
        finally:
            self._excuse(loop.time() - began)
        header = {"id": order["id"], "rows": len(rows), "age_s": loop.time() - read_at}
        return pack(header, numbers.astype("<f8").tobytes() + rows.astype("<i4").tobytes())

    def _excuse(self, busy_s: float) -> None:
        """Give every reading under way the time that parsing took from it: a node is not late because we were busy."""
        for deadline in self._deadlines:
            if (when := deadline.when()) is not None:
                deadline.reschedule(when + busy_s)

    async def _fetch(self, address: str, max_bytes: int) -> tuple[bytes, bytes, float]:
        """Return both pages and when the counters were read (this loop's time)."""
        unix = address.startswith("unix:")
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix("unix:"), trust_env=False) if unix else None
        client, base = (_client(transport), "http://envoy") if transport else (self._tcp, address)
        try:
            clusters = await _get(client, f"{base}/clusters?format=json", max_bytes)
            read_at = asyncio.get_running_loop().time()
            return clusters, await _get(client, f"{base}/stats/prometheus?filter={STATS_FILTER}", max_bytes), read_at
        finally:
            if transport:
                await client.aclose()


def _client(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncClient:
    """No proxies, no redirects, no compression (a small answer must not become a large page), no own time-outs."""
    headers = {"accept-encoding": "identity", "user-agent": "xds-server"}
    return httpx.AsyncClient(transport=transport, headers=headers, timeout=None, trust_env=False)  # noqa: S113 - the caller's deadline covers the whole reading


async def _get(client: httpx.AsyncClient, url: str, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable("status", f"{url} answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise Unavailable("malformed", f"{url} answered compressed, unasked")
            async for chunk in response.aiter_raw(_CHUNK):
                body += chunk
                if len(body) > max_bytes:
                    raise Unavailable("too_large", f"{url} has more than {max_bytes} bytes")
    except (httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.ReadError) as error:
        raise Unavailable("malformed", f"{url} was cut or is no HTTP: {error}") from None
    except httpx.TransportError as error:
        raise Unavailable("connect", f"{url}: {error or type(error).__name__}") from None
    return bytes(body)


def _say(frame: bytes) -> None:
    sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()


async def _main() -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin.buffer)
    await Reader().serve(orders)


if __name__ == "__main__":
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    asyncio.run(_main())
