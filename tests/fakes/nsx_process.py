"""NSX as a process of its own, to be killed: python -m tests.fakes.nsx_process PORT FILE

It keeps its segments in a file, as NSX keeps them in its database; its sessions die with it.
"""

import asyncio
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.fakes.fabrics import PASSWORD, FakeNsx, over_http


class LastingNsx(FakeNsx):
    """Writes down what there is before it answers."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self.segments = segments(file)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = super().answer(request)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.segments))
        new.replace(self._file)
        return answer


def segments(file: Path) -> dict[str, dict[str, object]]:
    """Return the segments in a file, by name."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


@dataclass
class NsxServer:
    """The process; ``kill`` and ``start`` may follow each other, what was written stays."""

    at: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    def configured(self) -> dict[str, object]:
        """Return this fabric as the control plane's configuration names it."""
        password = self.at / "password"
        password.write_text(PASSWORD)
        access = {"url": f"http://127.0.0.1:{self.port}", "username": "admin", "password_file": str(password)}
        return {"name": "dc1", "kind": "nsx", **access, "nsx": {"tier1": "t1"}}

    def segments(self) -> set[str]:
        """Return the names of its segments."""
        return set(segments(self.at / "segments"))

    async def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "tests.fakes.nsx_process", str(self.port), str(self.at / "segments")]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout
        assert await self.process.stdout.readline() == b"listens\n"

    async def kill(self) -> None:
        """End it at once."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def main(port: int, file: Path) -> None:
    """Serve until killed."""
    with over_http(LastingNsx(file), port):
        print("listens", flush=True)  # noqa: T201 - its output
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
