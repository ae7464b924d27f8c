"""FakeEnvoyPages: a small HTTP server that answers like an Envoy's telemetry listener, well or badly.

Knows the two pages' text and every way a page can be bad. Does not know who reads it.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from xds_server.domain.telemetry import COUNTERS, ENDPOINT_LABEL, LATENCY_BOUNDS_MS, LATENCY_SERIES, SERVICE_LABEL

Host = tuple[str, str, int]
"""Service, address, port."""
BOUNDS_US = tuple(1000 * bound for bound in LATENCY_BOUNDS_MS)


def clusters_json(hosts: Mapping[Host, Mapping[str, float]]) -> bytes:
    """Write ``/clusters?format=json`` as Envoy 1.40 does: zero values are left out, others are strings."""
    clusters: dict[str, list[object]] = {}
    for (service, address, port), row in hosts.items():
        names = (*COUNTERS, "rq_active")
        values = [row.get(n.replace("rq_active", "active"), 0) for n in names]
        stats = [{"name": n} | ({"value": f"{v:.0f}"} if v else {}) for n, v in zip(names, values, strict=True)]
        where = {"socket_address": {"address": address, "port_value": port}}
        clusters.setdefault(service, []).append({"address": where, "stats": stats, "weight": 1, "locality": {}})
    statuses = [{"name": name, "host_statuses": shown} for name, shown in clusters.items()]
    return json.dumps({"cluster_statuses": statuses}, indent=1).encode()


def stats_text(
    series: Mapping[tuple[str, str], Sequence[float]],
    bounds_us: Iterable[float] = BOUNDS_US,
    extra: str = "",
    name: str = LATENCY_SERIES,
) -> bytes:
    """Write a histogram, the latency's unless told otherwise, of (service, endpoint id) -> latencies in ms as ``/stats/prometheus`` does."""
    lines = [f"# TYPE {name} histogram"]
    for (service, endpoint), latencies_ms in series.items():
        us = np.array(latencies_ms, dtype=np.float64) * 1000
        labels = f'{ENDPOINT_LABEL}="{endpoint}",{SERVICE_LABEL}="{service}"{extra}'
        counts = [(f"{b:g}" if b < 1e6 else f"{b:.0f}", int((us <= b).sum())) for b in bounds_us] + [("+Inf", len(us))]
        lines += [f'{name}_bucket{{{labels},le="{bound}"}} {count}' for bound, count in counts]
        lines += [
            f"{name}_sum{{{labels}}} {float(us.sum())!r}",
            f"{name}_count{{{labels}}} {len(us)}",
        ]
    return "\n".join([*lines, ""]).encode()


class FakeEnvoyPages:
    """Serves ``clusters`` and ``stats`` on a free port of 127.0.0.1; ``mode`` says how.

    Modes: good, status, garbage, cut, silent, endless, dripping, compressed, huge_head, redirect. ``asked`` is set by every request.
    """

    def __init__(self, clusters: bytes = b"{}", stats: bytes = b"") -> None:
        self.clusters, self.stats, self.mode = clusters, stats, "good"
        self.asked = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()

    @property
    def address(self) -> str:
        """Return the telemetry address."""
        return f"127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.set()
                body = self.clusters if b"/clusters" in head.split(b"\r\n")[0] else self.stats
                await getattr(self, f"_{self.mode}")(body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _good(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def _status(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")

    async def _redirect(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")

    async def _garbage(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff\x17 not HTTP at all\r\n\r\n" * 10)
        writer.close()

    async def _cut(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
        writer.close()

    async def _silent(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    async def _dripping(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        await self._for_ever(writer, b"x", pause_s=0.05)

    async def _endless(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await self._for_ever(writer, b"10000\r\n" + b" " * 65536 + b"\r\n", pause_s=0)

    async def _compressed(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00")

    async def _huge_head(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"x-filler: " + b"y" * 1_000_000 + b"\r\n\r\n")
        writer.close()

    async def _for_ever(self, writer: asyncio.StreamWriter, piece: bytes, pause_s: float) -> None:
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)  # how fast a bad peer talks, not a wait for something
