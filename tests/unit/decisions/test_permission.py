"""Who may do what, and be which node: the table of roles and the rule of URIs."""

import pytest

from xds_server.decisions.permission import roles_of, why_not, why_not_node
from xds_server.domain.access import Access, Caller, Right, Role

OPS, DASHBOARD, NAT = "spiffe://mesh/ops", "spiffe://mesh/dashboard", "spiffe://mesh/appliance/nat"
ACCESS = Access({OPS: Role.OPERATOR, DASHBOARD: Role.VIEWER, NAT: Role.APPLIANCE})


def proved(*names: str) -> Caller:
    """A caller with a certificate."""
    return Caller("10.0.0.1", proved=True, names=names)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        (OPS, {Right.OPEN, Right.NODE, Right.LOOK, Right.SUBNETS, Right.CHANGE}),
        (DASHBOARD, {Right.OPEN, Right.NODE, Right.LOOK}),
        (NAT, {Right.OPEN, Right.NODE, Right.SUBNETS}),
        ("spiffe://mesh/node/n1", {Right.OPEN, Right.NODE}),
    ],
)
def test_a_role_has_its_rights_and_no_others(name, allowed):
    """Every pair of role and right is decided, and no role is the least."""
    assert {right for right in Right if not why_not(proved(name), right, ACCESS)} == allowed


def test_what_is_in_no_table_is_nobodys():
    """Default deny holds for operators and for loopback too."""
    assert "nobody may" in why_not(proved(OPS), None, ACCESS)
    assert "nobody may" in why_not(Caller("127.0.0.1"), None, ACCESS)


def test_without_tls_whoever_reaches_us_is_an_operator():
    """Plaintext ports are loopback's, or opened by --insecure."""
    assert not [right for right in Right if why_not(Caller("127.0.0.1"), right, Access())]


def test_the_reason_says_what_would_do():
    """A refused viewer learns which role is needed and where roles are given."""
    why = why_not(proved(DASHBOARD), Right.CHANGE, ACCESS)
    assert DASHBOARD in why
    assert "has the role viewer" in why
    assert "needs operator" in why
    assert "roles:" in why


def test_roles_of_all_names_count():
    """A certificate with two names has the roles of both."""
    assert roles_of(proved(DASHBOARD, NAT), ACCESS) == (Role.VIEWER, Role.APPLIANCE)


@pytest.mark.parametrize(
    ("uris", "node", "may"),
    [
        (["spiffe://mesh/node/n1"], "n1", True),
        (["spiffe://mesh/node/n1"], "node/n1", True),
        (["spiffe://mesh/n1"], "n1", True),
        (["spiffe://mesh/a%20b"], "a b", True),
        (["spiffe://other/x", "spiffe://mesh/n1"], "n1", True),
        (["spiffe://mesh/node/n1"], "n2", False),
        (["spiffe://mesh/node/n1"], "1", False),
        (["spiffe://mesh/node/n1"], "mesh", False),
        (["spiffe://mesh/n1/"], "", False),
        (["spiffe://n1"], "n1", False),
        (["n1"], "n1", False),  # a DNS name
        ([], "n1", False),
        (["spiffe://mesh/fleet"], "n7", True),
        (["spiffe://mesh/fleet"], "fleet", False),
    ],
)
def test_a_uri_names_the_nodes_it_may_be(uris, node, may):
    """The path or its last part; where the configuration lists ids for a URI, exactly those."""
    access = Access(nodes={"spiffe://mesh/fleet": ("n7", "n8")})
    assert (why_not_node(proved(*uris), node, access) == "") is may


def test_nobody_is_bound_without_tls_or_when_told_so():
    """Loopback clients may be any node; so may clients of an embedder that binds them itself."""
    assert why_not_node(Caller("127.0.0.1"), "n1", Access()) == ""
    assert why_not_node(proved(), "n1", Access(bound=False)) == ""
