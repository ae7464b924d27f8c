"""Real DNS servers of Debian, BIND and Knot, each in a private directory on a free loopback port, with a signed zone key.

Knows their configuration (docs/dns.md shows the same lines). Does not know what is written to them.
"""

import asyncio
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode

from tests.fakes.required import program

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="  # of a test's own server, on loopback, for seconds
ZONE_TEXT = """\
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.80
"""
NAMED = """\
options {{
    directory "{at}"; pid-file "{at}/named.pid"; session-keyfile "{at}/session.key"; managed-keys-directory "{at}";
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;
    notify no; allow-transfer {{ {transfer} }};
}};
controls {{ }};
key "k" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "mesh.test" {{ type primary; file "{at}/mesh.test.zone"; allow-update {{ key k; }}; max-journal-size 1m; }};
"""
KNOT = """\
server:
    listen: 127.0.0.1@{port}
    rundir: {at}
    pidfile: {at}/knot.pid
database:
    storage: {at}/db
log:
  - target: stderr
    any: warning
key:
  - id: k
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: xds
    key: k
    action: [update{transfer}]
template:
  - id: default
    storage: {at}
    file: "%s.zone"
zone:
  - domain: mesh.test
    acl: xds
"""


def free_port() -> int:
    """Return a loopback port that is free for TCP and UDP now."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class DnsServer:
    """One server; ``stop`` and ``start`` may follow each other, what was written stays."""

    kind: str
    at: Path
    port: int
    transfer: bool = True
    process: asyncio.subprocess.Process | None = None

    @property
    def secret_file(self) -> Path:
        """Return the file with the zone's key."""
        path = self.at / "key"
        path.write_text(SECRET + "\n")
        return path

    def _command(self) -> list[str]:
        facts = {"at": self.at, "port": self.port, "secret": SECRET}
        config = self.at / f"{self.kind}.conf"
        (self.at / "db").mkdir(exist_ok=True)  # Knot does not make it
        zone = self.at / "mesh.test.zone"
        if not zone.exists():
            zone.write_text(ZONE_TEXT)
        if self.kind == "bind":
            config.write_text(NAMED.format(**facts, transfer="key k;" if self.transfer else "none;"))
            return [program("named", "dns", "bind9"), "-g", "-n", "1", "-c", str(config)]
        config.write_text(KNOT.format(**facts, transfer=", transfer" if self.transfer else ""))
        return [program("knotd", "dns", "knot"), "-c", str(config)]

    async def start(self) -> None:
        """Start it and wait until it answers for the zone."""
        log = (self.at / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(*self._command(), stdout=log, stderr=log)
        log.close()
        async with asyncio.timeout(40):
            while await self._rcode() != dns.rcode.NOERROR:
                assert self.process.returncode is None, (self.at / "log").read_text()[-2000:]

    async def _rcode(self) -> dns.rcode.Rcode | None:
        query = dns.message.make_query("mesh.test.", "SOA")
        try:
            return (await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=0.05)).rcode()
        except Exception:  # noqa: BLE001 - it is not up yet, whatever says so
            return None

    async def stop(self) -> None:
        """End it, gently."""
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()

    async def kill(self) -> None:
        """End it at once, as a power failure would."""
        assert self.process
        self.process.kill()
        await self.process.wait()

    async def ask(self, name: str, kind: str) -> list[str]:
        """Return what it answers, sorted."""
        query = dns.message.make_query(name + ".", kind)
        answer, _ = await dns.asyncquery.udp_with_fallback(query, "127.0.0.1", port=self.port, timeout=2)
        return sorted(r.to_text() for rrset in answer.answer for r in rrset)

    async def serial(self) -> int:
        """Return the zone's serial: it grows with every change."""
        return int((await self.ask("mesh.test", "SOA"))[0].split()[2])
