"""An Envoy xDS control plane that knows where the load is going.

The embedding API (``ResourceCache``, ``XdsServer``) is re-exported lazily: importing a pure room imports no gRPC.
"""

from typing import TYPE_CHECKING

from xds_server.version import __version__

if TYPE_CHECKING:
    from xds_server.embed import InvalidResource, Limits, ResourceCache, XdsServer

__all__ = ["InvalidResource", "Limits", "ResourceCache", "XdsServer", "__version__"]


def __getattr__(name: str) -> object:
    if name in {"InvalidResource", "Limits", "ResourceCache", "XdsServer"}:
        from xds_server import embed

        return getattr(embed, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
