"""Certificates are read anew, told apart from half-written ones, and refused with a reason when they never were any."""

import datetime as dt

import pytest
from structlog.testing import capture_logs

from tests.fakes.authority import Authority
from xds_server.servers.certificates import Certificates, Paths, Tls, UnusableCertificates


@pytest.fixture
def authority(tmp_path):
    """Who issues."""
    return Authority(tmp_path)


def paths(authority, pair) -> Paths:
    """The three files."""
    return Paths(pair.certificate, pair.key, authority.ca)


@pytest.mark.parametrize("days", [1, 400, 40_000])  # the last one ends after 2049: another encoding
def test_the_end_of_validity_is_read(authority, days):
    """Seconds since 1970, whichever way the certificate writes time."""
    certificates = Certificates(paths(authority, authority.server(valid_for=dt.timedelta(days=days))))
    assert certificates.expires_s == pytest.approx(dt.datetime.now(dt.UTC).timestamp() + days * 86_400, abs=10)


def test_the_first_of_a_chain_counts(authority):
    """A file holds our certificate first, its issuers after it."""
    pair = authority.server(valid_for=dt.timedelta(days=400))
    pair.certificate.write_bytes(pair.certificate.read_bytes() + authority.ca.read_bytes())
    ours = Certificates(paths(authority, pair)).expires_s
    assert ours > dt.datetime.now(dt.UTC).timestamp() + 300 * 86_400


def test_rotation_is_seen_and_told_once(authority):
    """A half-written pair changes nothing and is told once; the whole pair counts."""
    pair = authority.server()
    certificates = Certificates(paths(authority, pair))
    before = certificates.expires_s
    new = authority.server("new", valid_for=dt.timedelta(days=9))
    new.certificate.replace(pair.certificate)
    with capture_logs() as lines:
        assert [certificates.expires_s, certificates.expires_s] == [before, before]
    assert [line["log_level"] for line in lines] == ["error"]
    new.key.replace(pair.key)
    with capture_logs() as lines:
        assert certificates.expires_s > before + 7 * 86_400
    assert [line["log_level"] for line in lines] == ["info"]


def test_vanished_files_leave_the_last_good_ones(authority):
    """A directory that is swapped is gone for a moment; nobody notices."""
    pair = authority.server()
    certificates = Certificates(paths(authority, pair))
    before = certificates.expires_s
    pair.key.unlink()
    assert certificates.expires_s == before


@pytest.mark.parametrize("broken", ["certificate", "key", "client_ca"])
def test_what_is_no_pem_is_refused_at_the_start(authority, tmp_path, broken):
    """The reason names the file."""
    (tmp_path / "junk").write_bytes(b"\x00junk")
    pair = authority.server()
    files = {"certificate": pair.certificate, "key": pair.key, "client_ca": authority.ca, broken: tmp_path / "junk"}
    with pytest.raises(UnusableCertificates, match="junk"):
        Certificates(Paths(**files))


def test_only_named_ports_speak_tls(authority):
    """A port that is not listed, or has no certificates at all, stays plaintext."""
    tls = Tls(Certificates(paths(authority, authority.server())), ["xds"])
    assert (tls.grpc("xds") is None, tls.grpc("admin") is None, tls.http("http") is None) == (False, True, True)
    assert Tls().grpc("xds") is None
