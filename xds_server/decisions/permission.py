"""Permission: may this caller do that, and may it be this node? Answered with the reason when not.

Knows rights, roles and how a URI names a node. Does not know how callers prove who they are.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

from xds_server.domain.access import RIGHTS, Access, Caller, Right, Role

_FREE: Final = frozenset({Right.OPEN, Right.NODE})
"""What needs no role: whoever is let in has it; which node a client may be is asked with its first request."""


def why_not(caller: Caller, right: Right | None, access: Access) -> str:
    """Return why a caller may not use something that needs this right (None: nobody may); '' when it may."""
    if right is None:
        return "it is in no table of permissions; nobody may call it"
    if not caller.proved or right in _FREE:
        return ""
    roles = roles_of(caller, access)
    if any(right in RIGHTS[role] for role in roles):
        return ""
    has = f"has the role {' and '.join(roles)}" if roles else "has no role"
    wanted = " or ".join(role for role in Role if right in RIGHTS[role])
    return f"{_named(caller)} {has}; this needs {wanted} (roles: in the configuration)"


def roles_of(caller: Caller, access: Access) -> tuple[Role, ...]:
    """Return the roles of a caller's names, in the order of ``Role``."""
    given = {access.roles[name] for name in caller.names if name in access.roles}
    return tuple(role for role in Role if role in given)


def why_not_node(caller: Caller, node_id: str, access: Access) -> str:
    """Return why a caller may not be this node; '' when it may.

    A URI names the node ids that ``access.nodes`` lists for it; without an entry there, the one that is its path or its
    path's last part (SPIFFE: ``spiffe://trust-domain/path``).
    """
    if not (caller.proved and access.bound):
        return ""
    uris = [name for name in caller.names if "://" in name]
    if any(node_id in _nodes(uri, access) for uri in uris):
        return ""
    if not uris:
        return "the client's certificate has no URI; give it one that ends in the node's id"
    return f"the client's certificate is for {', '.join(uris[:3])}, which does not name it"


def _nodes(uri: str, access: Access) -> tuple[str, ...]:
    if uri in access.nodes:
        return access.nodes[uri]
    path = urlsplit(uri).path.lstrip("/")
    return tuple({unquote(path), unquote(path.rpartition("/")[2])} - {""})


def _named(caller: Caller) -> str:
    return f"the certificate of {caller.names[0]}" if caller.names else "a certificate without names"
