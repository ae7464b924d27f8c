"""RingFile: whole or not there; whatever else lies in its place is refused by name."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.pages import key
from xds_server.adapters.ring_file import RingFile
from xds_server.domain.rings import Rings
from xds_server.ports import Unavailable

RINGS = Rings(1.7e9, 5.0, ("rps", "kappa"), (key("a1"), key("a2")), np.arange(12, dtype=np.float32).reshape(2, 2, 3))


@pytest.fixture
def path(tmp_path):
    """Where the file lies, with rings in it."""
    RingFile(tmp_path / "deep" / "rings.npz").put(RINGS)
    return tmp_path / "deep" / "rings.npz"


def test_what_was_put_comes_back(path):
    """Everything, exactly; for nobody else to read; nothing else is left in the folder."""
    got = RingFile(path).get()
    assert (got.at_s, got.interval_s, got.channels, got.keys) == (1.7e9, 5.0, RINGS.channels, RINGS.keys)
    np.testing.assert_array_equal(got.values, RINGS.values)
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["rings.npz"]


def test_no_file_is_nothing(tmp_path):
    """A first start has no rings."""
    assert RingFile(tmp_path / "rings.npz").get() is None


def outcome(path) -> Rings | Unavailable | None:
    """What reading a file yields, its refusal included."""
    try:
        return RingFile(path).get()
    except Unavailable as why:
        return why


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_harmless(path, at, flip, cut):
    """Any byte flipped, or the file cut anywhere: refused by name, or read with the numbers it had."""
    RingFile(path).put(RINGS)
    body = bytearray(path.read_bytes())
    at %= len(body)
    body[at] ^= flip
    path.write_bytes(bytes(body[:at] if cut else body))
    got = outcome(path)
    if isinstance(got, Rings):
        np.testing.assert_array_equal(got.values, RINGS.values)
    else:
        assert got.reason == "malformed"
        assert str(path) in str(got)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"keys": [["checkout", "a1"]]},
        {"keys": [["checkout", "a1"]] * 2},
        {"keys": [["a b", "a1"], ["x", "y"]]},
        {"interval_s": 0},
        {"at_s": float("nan")},
        {"channels": 7},
    ],
)
def test_facts_that_do_not_fit_are_refused(path, change):
    """Another version, keys that are too few, twice or no names, times that cannot be."""
    with np.load(path) as parts:
        about, values = json.loads(parts["about"].tobytes()), parts["values"]
    np.savez(path, about=np.frombuffer(json.dumps(about | change).encode(), np.uint8), values=values)
    with pytest.raises(Unavailable, match="malformed"):
        RingFile(path).get()


def test_pickles_and_bombs_are_refused(path):
    """Nothing is executed, nothing grows in memory beyond its size on disk."""
    np.savez(path, about=np.array([print], dtype=object), values=np.zeros(1))
    with pytest.raises(Unavailable, match="malformed"):
        RingFile(path).get()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("values.npy", b"\0" * 10_000_000)
    with pytest.raises(Unavailable, match="not what they claim"):
        RingFile(path).get()


def test_impossible_numbers_become_unseen(path):
    """Infinite or negative values are no history."""
    values = RINGS.values.copy()
    values[0, 0] = [np.inf, -1.0, 5.0]
    RingFile(path).put(Rings(1.7e9, 5.0, RINGS.channels, RINGS.keys, values))
    np.testing.assert_array_equal(RingFile(path).get().values[0, 0], [np.nan, np.nan, 5.0])
