"""Frames: what goes in comes out, however the stream is cut."""

from hypothesis import given
from hypothesis import strategies as st

from xds_server.adapters.envoy_stats.frames import Unpacker, pack

frames = st.lists(st.tuples(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.binary(max_size=40)))


@given(frames, st.integers(1, 50))
def test_frames_survive_any_cut_of_the_stream(sent, size):
    """Chunks of any size, frames of any content."""
    stream = b"".join(pack(header, body) for header, body in sent)
    unpacker = Unpacker()
    got = [frame for i in range(0, len(stream), size) for frame in unpacker.feed(stream[i : i + size])]
    assert got == sent
