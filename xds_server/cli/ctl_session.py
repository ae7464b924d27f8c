"""A session of xdsctl with one control plane: the connection, how answers are printed, how refusals are told.

Knows exit codes: 0 fine, 1 refused or failed (2, usage, is Typer's). Does not know any command.
"""

import functools
import getpass
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Concatenate, NoReturn, ParamSpec

import grpc
import typer
import yaml
from google.protobuf.message import Message
from rich.console import Console, RenderableType

from xds_server.cli.ctl_channel import Ca, Cert, Key, NoChannel, Trust, Whole, opened
from xds_server.cli.ctl_plain import plain
from xds_server.pb.admin.v1.admin_pb2_grpc import AdminStub
from xds_server.pb.sam.v1.sam_pb2_grpc import SubnetAllocationManagerStub

DEFAULT_SERVER = "127.0.0.1:18001"
PATIENCE_S = 15.0
_PIPE_WIDTH = 220
P = ParamSpec("P")


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="XDSCTL_SERVER",
        help=f"Admin address, HOST:PORT or unix:PATH; {DEFAULT_SERVER} when left out.",
        show_default=False,
    ),
]
_Output = Annotated[Output, typer.Option("-o", "--output", help="How to print the answer.")]

_Why = Annotated[str, typer.Option("--reason", help="Why; kept in the history.", show_default=False)]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would change, change nothing.")]
_Expected = Annotated[
    int | None,
    typer.Option("--expect-generation", help="Refuse when the service was changed since.", show_default=False),
]


class Session:
    """One command's connection and voice.

    ``admin`` and ``sam``: the two APIs; calls go through ``ask``. ``order``: the fields that every write carries.
    """

    def __init__(self, server: str, output: Output, order: Mapping[str, Any], trust: Trust) -> None:
        self.server = server
        self.output = output
        self.order = order
        self.voice = Console(stderr=True, highlight=False)
        self.paper = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        try:
            self._channel = opened(server, trust)
        except NoChannel as error:
            self.fail(str(error))
        self.admin = AdminStub(self._channel)
        self.sam = SubnetAllocationManagerStub(self._channel)

    def ask(self, method: Any, request: Message, patience_s: float = PATIENCE_S) -> Any:
        """Call a unary method; a refusal is told and ends the command with 1."""
        with self.refusals():
            return method(request, timeout=patience_s, metadata=self.metadata)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what goes with every call: who types."""
        return (("xds-actor", _user()),)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Tell gRPC's errors in a person's words and end with 1."""
        try:
            yield
        except grpc.RpcError as error:
            self.fail(_words(error, self.server))

    def show(self, answer: Message | Mapping[str, Any], table: Callable[[], RenderableType]) -> None:
        """Print an answer as asked for; ``table`` is only drawn when it is wanted."""
        if self.output is Output.TABLE:
            self.paper.print(table(), crop=False)  # a long Grid is not folded
        else:
            self.data(plain(answer) if isinstance(answer, Message) else answer)

    def data(self, value: object) -> None:
        """Print plain data as JSON or YAML."""
        if self.output is Output.YAML:
            typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
        else:
            typer.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def tell(self, text: str) -> None:
        """Say something beside the answer (on stderr)."""
        self.voice.print(text, markup=False, soft_wrap=True)

    def fail(self, text: str) -> NoReturn:
        """Say what is wrong and end with 1."""
        self.voice.print(text, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def command(
    app: typer.Typer, name: str, *, changes: bool = False
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as a command: it gets a session, and the command ``--server``, ``-o`` and files for TLS.

    ``changes``: it also gets ``--reason``, ``--dry-run`` and ``--expect-generation``, found in ``session.order``.
    """

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        files: dict[str, inspect.Parameter] = {}  # a command's own --key comes first: xdsctl --key FILE subnets request

        @functools.wraps(function)
        def run(ctx: typer.Context, server: str | None, output: Output, **wishes: Any) -> None:
            order = {option: wishes.pop(option) for option in _ORDER} if changes else {}
            whole: Whole = ctx.find_root().obj
            mine = {"server": server, **{option: wishes.pop(option) for option in files}}
            typed = {option: value for option, value in mine.items() if _typed(ctx, option)}
            # what was typed after the command wins, then what stands before it, then the command's environment
            choice = mine | {o: v for o, v in whole.given().items() if v is not None} | typed
            session = Session(choice.pop("server") or DEFAULT_SERVER, output, order, Trust(**choice))
            try:
                function(session, **wishes)  # type: ignore[call-arg]  # Typer calls with what the signature below says
            except KeyboardInterrupt:
                raise typer.Exit(130) from None
            finally:
                session.close()

        own = list(inspect.signature(function).parameters.values())[1:]
        files.update((name, p) for name, p in _TRUST.items() if name not in {p.name for p in own})
        every = (*(_ORDER.values() if changes else ()), *_EVERYWHERE, *files.values())
        parameters = [*(p.replace(kind=_KEYWORD) for p in own), *every]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name)(run)
        return function

    return register


_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_ORDER = {
    "reason": inspect.Parameter("reason", _KEYWORD, default="", annotation=_Why),
    "dry_run": inspect.Parameter("dry_run", _KEYWORD, default=False, annotation=_DryRun),
    "expected_generation": inspect.Parameter("expected_generation", _KEYWORD, default=None, annotation=_Expected),
}
_TRUST = {
    name: inspect.Parameter(name, _KEYWORD, default=None, annotation=annotation)
    for name, annotation in (("ca", Ca), ("cert", Cert), ("key", Key))
}
_EVERYWHERE = (
    inspect.Parameter("ctx", _KEYWORD, annotation=typer.Context),
    inspect.Parameter("server", _KEYWORD, default=None, annotation=Server),
    inspect.Parameter("output", _KEYWORD, default=Output.TABLE, annotation=_Output),
)


def _typed(ctx: typer.Context, option: str) -> bool:
    """Return whether an option was typed, and not taken from the environment or a default."""
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this uid, as in many containers
        return "unknown"


def _words(error: grpc.RpcError, server: str) -> str:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and "try again" not in details:
        return (
            f"cannot reach the admin API at {server} ({details.splitlines()[0] if details else 'no answer'}).\n"
            "Is `xds-server serve` running there? Another address: --server HOST:PORT or XDSCTL_SERVER.\n"
            "A port with TLS takes only who shows a certificate: --ca, --cert and --key (XDSCTL_CA, ...)."
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{server} did not answer in time; what was asked may still happen: look with `xdsctl history`"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{server} does not offer this ({details}); is it the admin port of an xds-server of this version?"
    return details or str(code)
