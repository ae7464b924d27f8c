"""A real Neutron server on loopback, in a private directory, run by the environment that XDS_NEUTRON_PYTHON names."""

import asyncio
import os
import signal
from pathlib import Path

import httpx

from tests.fakes.dns_servers import free_port
from tests.fakes.required import absent

_SERVE = Path(__file__).parents[1] / "fabrics" / "neutron_serve.py"


class NeutronServer:
    """``start`` and ``stop`` may follow each other; what was written stays."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._at / "neutron.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                _python(), _SERVE, self._at, str(self._port), stdout=log, stderr=log, cwd=self._at
            )
        async with asyncio.timeout(180), httpx.AsyncClient(trust_env=False) as http:
            while not await self._answers(http):
                assert self._process.returncode is None, (self._at / "neutron.log").read_text()[-2000:]

    async def _answers(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.url}/v2.0/networks", timeout=10)).is_success
        except httpx.ConnectError:
            await asyncio.sleep(0.5)  # it makes two hundred tables first
            return False
        except httpx.HTTPError:
            return False

    async def stop(self) -> None:
        """End it."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()


def _python() -> str:
    return os.environ.get("XDS_NEUTRON_PYTHON", "") or absent("neutron", "no Neutron here: make test-fabrics")
