"""A real NETCONF server: Debian's netconfd (yuma123) behind sshd, in a private directory on a free loopback port.

Knows their configuration (docs/netconf.md shows the same lines). It stores configuration and applies none of it.
"""

import asyncio
import os
import signal
from pathlib import Path

from tests.fakes.dns_servers import free_port
from tests.fakes.required import absent, program
from xds_server.adapters.netconf import words
from xds_server.adapters.netconf.session import Place, Session

MODULES = Path("/usr/share/yuma/modules")
_SSHD_OWN = Path("/run/sshd")  # which Debian's init makes for sshd
_EMPTY = '<nc:config xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0"/>\n'
_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {at}/host_key
PidFile none
AuthorizedKeysFile {at}/client_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem netconf "{subsystem} --ncxserver-sockname={port}@{at}/ncx"
"""


class NetconfServer:
    """``stop`` and ``start`` may follow each other, what was committed stays."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.port = free_port()
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def place(self) -> Place:
        """Return where it is and how to be let in."""
        at = self.at
        return Place("127.0.0.1", self.port, "root", at / "host_key.pub", at / "client_key", timeout_s=10)

    async def start(self) -> None:
        """Start both and wait until a session can be had."""
        netconfd, sshd = program("netconfd", "netconf", "netconfd"), program("sshd", "netconf", "openssh-server")
        subsystem = program("netconf-subsystem", "netconf", "netconfd")
        if os.geteuid() != 0:
            absent("netconf", "sshd lets in nobody but the user who runs it, and netconfd knows only root: run as root")
        for name in ("host_key", "client_key"):
            if not (self.at / name).exists():
                await _keygen(self.at / name)
        if not (self.at / "startup-cfg.xml").exists():
            (self.at / "startup-cfg.xml").write_text(_EMPTY)
        (self.at / "sshd_config").write_text(_SSHD.format(at=self.at, port=self.port, subsystem=subsystem))
        await asyncio.to_thread(_SSHD_OWN.mkdir, exist_ok=True)
        await self._run(netconfd, *(f"--{word}" for word in self._words()))
        await self._run(sshd, "-D", "-e", "-f", str(self.at / "sshd_config"))
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(self._answers):
                assert all(p.returncode is None for p in self._processes), (self.at / "log").read_text()[-2000:]

    def _words(self) -> list[str]:
        return [
            "module=iana-if-type",
            "module=ietf-interfaces",
            "module=ietf-ip",
            "superuser=root",
            f"startup={self.at}/startup-cfg.xml",
            f"port={self.port}",
            f"ncxserver-sockname={self.at}/ncx",
            f"modpath={MODULES}",
        ]

    async def _run(self, *command: str) -> None:
        with (self.at / "log").open("ab") as log:
            environment = {**os.environ, "HOME": str(self.at)}
            self._processes.append(
                await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment, cwd=self.at)
            )

    def _answers(self) -> bool:
        try:
            Session(self.place).close()
        except Exception:  # noqa: BLE001 - it is not up yet, whatever says so
            return False
        return True

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End both."""
        for process in reversed(self._processes):
            if process.returncode is None:
                process.send_signal(with_signal)
                await process.wait()
        self._processes = []
        (self.at / "ncx").unlink(missing_ok=True)

    def ask(self, *operations: words.Element) -> words.Element:
        """Ask in a session of its own, as another operator would; return the last answer."""
        session = Session(self.place)
        try:
            return [session.ask(operation) for operation in operations][-1]
        finally:
            session.close()


async def _keygen(path: Path) -> None:
    keygen = program("ssh-keygen", "netconf", "openssh-client")
    made = await asyncio.create_subprocess_exec(keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    assert await made.wait() == 0
