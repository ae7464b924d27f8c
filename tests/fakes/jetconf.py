"""A real RESTCONF server, jetconf, on loopback, in a private directory, run by the environment that XDS_JETCONF_PYTHON names.

Knows how it is started and how another operator speaks to it. It stores configuration and applies none of it.
"""

import asyncio
import json
import os
import signal
import ssl
from pathlib import Path

import httpx

from tests.fakes.authority import Authority, Pair
from tests.fakes.dns_servers import free_port
from tests.fakes.netconf_server import MODULES
from tests.fakes.required import absent
from xds_server.adapters.restconf import Place
from xds_server.decisions.yang import Entry, as_json, from_json

_SERVE = Path(__file__).parents[1] / "fabrics" / "jetconf_serve.py"
_DATA = "data/ietf-interfaces:interfaces"


class JetconfServer:
    """``start`` and ``stop`` may follow each other; what was committed stays. ``place``: where it is, for us."""

    def __init__(self, at: Path) -> None:
        self._at, self._port = at, free_port()
        self._ca = Authority(at)
        self._process: asyncio.subprocess.Process | None = None
        mine = self._ca.client("urn:xds:control-plane")
        self.place = Place(
            "127.0.0.1", self._port, self._ca.ca, mine.certificate, mine.key,
            commit="jetconf:conf-commit", discard="jetconf:conf-reset", bare_entries=True,
        )  # fmt: skip
        self._operator = self._speaks_as(self._ca.client("urn:somebody"))

    def _speaks_as(self, pair: Pair) -> httpx.AsyncClient:
        trust = ssl.create_default_context(cafile=self._ca.ca)
        trust.load_cert_chain(pair.certificate, pair.key)
        return httpx.AsyncClient(base_url=f"https://127.0.0.1:{self._port}", http2=True, verify=trust, trust_env=False)

    async def start(self) -> None:
        """Start it and wait until it answers."""
        python = os.environ.get("XDS_JETCONF_PYTHON", "") or absent("jetconf", "no jetconf here: make test-fabrics")
        if not MODULES.exists():
            absent("jetconf", f"no YANG modules at {MODULES}: apt-get install libyuma-base")
        pair = self._ca.server()
        words = (self._at, str(self._port), MODULES / "ietf", pair.certificate, pair.key, self._ca.ca)
        with (self._at / "jetconf.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(python, _SERVE, *words, stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while not await self._answers():
                assert self._process.returncode is None, (self._at / "jetconf.log").read_text()[-2000:]

    async def _answers(self) -> bool:
        try:
            return (await self._operator.get("/restconf/yang-library-version")).is_success
        except httpx.TransportError:
            return False

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    async def seen(self) -> dict[str, Entry]:
        """What is committed, as another operator sees it."""
        told = await self._operator.get(f"/restconf_running/{_DATA}")
        return {e["name"]: from_json(e) for e in told.json()["ietf-interfaces:interfaces"]["interface"]}

    async def other(self, entry: Entry) -> None:
        """Let another operator make an entry so, whoever's it was."""
        at, body = f"/restconf/{_DATA}", {"ietf-interfaces:interface": as_json(entry)}
        await self._operator.post("/restconf/operations/jetconf:conf-reset")
        there = entry.name in await self.seen()
        method, where = ("PUT", f"{at}/interface={entry.name}") if there else ("POST", at)
        (await self._operator.request(method, where, content=json.dumps(body))).raise_for_status()
        (await self._operator.post("/restconf/operations/jetconf:conf-commit")).raise_for_status()
