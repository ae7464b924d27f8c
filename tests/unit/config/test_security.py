"""TLS and roles in the configuration: three lines open the ports; what is wrong with them is told with its line."""

import pytest
from typer.testing import CliRunner

from tests.fakes.authority import Authority
from xds_server.cli.server import app
from xds_server.config import InvalidConfiguration, facts, load
from xds_server.config.current import Configured, needs_restart
from xds_server.domain.access import Access, Role

OPEN = "listen: {xds: 0.0.0.0:18000, admin: 0.0.0.0:18001, http: 0.0.0.0:18002}\n"


@pytest.fixture
def written(tmp_path):
    """A way to write a configuration with TLS: ``written(more text, **other files)``."""
    authority = Authority(tmp_path)
    pair = authority.server()

    def write(more: str = "", **files):
        files = {"certificate": pair.certificate, "key": pair.key, "client_ca": authority.ca, **files}
        path = tmp_path / "config.yaml"
        path.write_text(f"tls:\n{''.join(f'  {key}: {value}' + chr(10) for key, value in files.items())}{more}")
        return path

    return write


def test_tls_opens_addresses_that_others_reach(written):
    """With TLS on all ports any address is allowed."""
    assert load(written(OPEN)).tls is not None


def test_a_port_without_tls_stays_at_home(written):
    """A port that TLS is not for may not listen elsewhere."""
    with pytest.raises(InvalidConfiguration) as caught:
        load(written(OPEN, listeners="[xds, admin]"))
    (fault,) = caught.value.faults
    assert "listen.http" in fault
    assert "add tls" in fault


def test_unix_sockets_speak_no_tls(written):
    """Their file's permissions are the guard; the other ports do."""
    tls = facts.tls(load(written("listen: {xds: 'unix:/run/xds.sock'}\n")))
    assert (tls.grpc("xds") is None, tls.grpc("admin") is None, tls.http("http") is None) == (True, False, False)


@pytest.mark.parametrize(
    ("more", "files", "words"),
    [
        ("", {"key": "/nowhere.key"}, "line 3: tls.key"),
        ("roles: {a: root}\n", {}, "roles.a"),
        ("", {"nodes": "{'spiffe://m/f': []}"}, "tls.nodes"),
        ("", {"listeners": "[dns]"}, "tls.listeners"),
        ("", {"client_cert": "x"}, "did you mean"),
    ],
)
def test_what_is_wrong_is_told(written, more, files, words):
    """A file that is not there, an unknown role, node list, port or key: place and remedy."""
    with pytest.raises(InvalidConfiguration, match=words):
        load(written(more, **files))


def test_check_opens_the_files(written):
    """A key that does not fit its certificate is found before anything is started."""
    path = written()
    assert CliRunner().invoke(app, ["check", "-c", str(path)]).exit_code == 0
    other = Authority(path.parent, "other").server("other")
    done = CliRunner().invoke(app, ["check", "-c", str(written(key=other.key))])
    assert done.exit_code == 1


def test_roles_are_taken_by_a_reload_and_certificates_need_a_restart(written):
    """Roles and node ids count at once; other paths are named as waiting."""
    before = load(written())
    configured = Configured.of(before)
    after = load(written("roles: {ops: operator}\n", nodes="{'spiffe://m/f': [n1]}"))
    configured.reload(after)
    assert configured.access.value == Access({"ops": Role.OPERATOR}, {"spiffe://m/f": ("n1",)})
    assert needs_restart(before, before.model_copy(update={"tls": None})) == ["tls"]
    assert needs_restart(before, load(written("roles: {ops: viewer}\n"))) == []
    assert needs_restart(before, after) == []
