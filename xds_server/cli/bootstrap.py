"""``xds-server bootstrap``: print the bootstrap of an Envoy that asks this control plane.

Knows the flags. Does not know what a bootstrap holds.
"""

import sys
from typing import Annotated

import typer

from xds_server.domain.names import ApplianceName, InvalidName, NodeId, VirtualNetwork
from xds_server.domain.topology import DEFAULT_NETWORK, Locality, Node, NodeKind
from xds_server.resources.bootstrap import TELEMETRY_PORT, InvalidBootstrap, as_yaml, tls_files
from xds_server.resources.bootstrap import bootstrap as made


def bootstrap(  # noqa: PLR0913 - each argument is a flag that a person types
    *,
    node: Annotated[str, typer.Option("--node", help="The Envoy's node id; unlike for every Envoy.")],
    kind: Annotated[NodeKind, typer.Option(help="sidecar or front-end.")] = NodeKind.SIDECAR,
    virtual_network: Annotated[str, typer.Option(help="Whose services a sidecar gets.")] = str(DEFAULT_NETWORK),
    locality: Annotated[str, typer.Option(help="Where it stands, REGION/ZONE.")] = "",
    appliance: Annotated[str, typer.Option(help="The appliance that a front-end node serves.")] = "",
    agent: Annotated[
        bool, typer.Option("--agent", help="A front-end node waits for its `xds-server agent` to make interfaces.")
    ] = False,
    listen_address: Annotated[str, typer.Option(help="Where a sidecar listens for services.")] = "127.0.0.1",
    xds: Annotated[str, typer.Option(help="The control plane, HOST:PORT or unix:PATH.")] = "127.0.0.1:18000",
    telemetry: Annotated[
        str, typer.Option(help="Where it tells its telemetry, HOST:PORT; by default LISTEN_ADDRESS:19001.")
    ] = "",
    admin: Annotated[str, typer.Option(help="Envoy's own admin interface; by default a unix socket.")] = "",
    ca: Annotated[str, typer.Option(help="TLS: who issued the control plane's certificate, a PEM file.")] = "",
    cert: Annotated[str, typer.Option(help="TLS: the Envoy's certificate; its URI ends in the node id.")] = "",
    key: Annotated[str, typer.Option(help="TLS: its key.")] = "",
) -> None:
    """Print the bootstrap of an Envoy, as YAML.

    Example: xds-server bootstrap --node sidecar-1 --virtual-network vn-a --locality r1/z1 > sidecar-1.yaml
    """
    region, _, zone = locality.partition("/")
    try:
        facts = Node(
            id=NodeId(node),
            kind=kind,
            virtual_network=VirtualNetwork(virtual_network),
            locality=Locality(region, zone),
            has_agent=agent,
            listen_address=listen_address,
            appliance=ApplianceName(appliance) if appliance else None,
            telemetry=telemetry or f"{_bracketed(listen_address)}:{TELEMETRY_PORT}",
        )
        typer.echo(as_yaml(made(facts, xds, admin, tls_files(ca, cert, key))), nl=False)
    except (InvalidName, InvalidBootstrap) as error:
        typer.echo(f"no bootstrap was made: {error}", err=True)
        sys.exit(1)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
