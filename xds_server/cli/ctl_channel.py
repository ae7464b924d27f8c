"""Channel: how xdsctl reaches a control plane: plaintext, or TLS with a certificate of its own.

Knows three PEM files. Does not know any call.
"""

from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer

_MOST_BYTES = 64 * 1024 * 1024
_OPTIONS = [("grpc.max_receive_message_length", _MOST_BYTES)]

Ca = Annotated[
    Path | None,
    typer.Option("--ca", envvar="XDSCTL_CA", help="Who issued the server's certificate, PEM.", show_default=False),
]
Cert = Annotated[
    Path | None, typer.Option("--cert", envvar="XDSCTL_CERT", help="Your certificate, PEM.", show_default=False)
]
Key = Annotated[Path | None, typer.Option("--key", envvar="XDSCTL_KEY", help="Its key, PEM.", show_default=False)]


class NoChannel(Exception):
    """The files do not do; the text says which and what would."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe and what to show; all of it for TLS, nothing for plaintext."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """What was typed before the command and holds for it, whichever it is."""

    server: str | None = None
    trust: Trust = Trust()

    def given(self) -> dict[str, Any]:
        """Return every option by its name, None where it was left out."""
        return {"server": self.server, **asdict(self.trust)}


def opened(server: str, trust: Trust) -> grpc.Channel:
    """Return a channel to ``HOST:PORT`` or ``unix:PATH``; connects when it is used. Raises NoChannel."""
    files: tuple[Path | None, ...] = astuple(trust)
    given = [file for file in files if file is not None]
    if not given or server.startswith("unix:"):
        return grpc.insecure_channel(server, options=_OPTIONS)
    if len(given) < len(files):
        raise NoChannel("TLS needs --ca, --cert and --key together (or XDSCTL_CA, XDSCTL_CERT and XDSCTL_KEY)")
    try:
        ca, cert, key = (file.read_bytes() for file in given)
    except OSError as error:
        raise NoChannel(f"{error.filename}: {error.strerror}; --ca, --cert and --key name PEM files") from error
    return grpc.secure_channel(server, grpc.ssl_channel_credentials(ca, key, cert), options=_OPTIONS)
