"""A restart costs the history only the gap; a file that is damaged costs the history, and never the start."""

from tests.fakes.whole import whole
from tests.fakes.xds_client import until
from tests.features.test_bad_input_telemetry import envoy, join, page


async def test_rings_outlive_the_process_and_a_damaged_file_is_told(tmp_path):
    """SIGTERM's way out saves; the next start has the past before its first sample; a cut file begins anew, serving."""
    async with envoy(lambda asked: page(asked * 100)) as address:
        async with whole(tmp_path) as house:
            await join(house, "n1", address)
            await until(lambda: len(house.plane.history) > 0, "no history")
        (saved,) = tmp_path.glob("*.rings.npz")
        async with whole(tmp_path) as house:
            assert {key.endpoint for key in house.plane.history.keys} == {"a1"}
        saved.write_bytes(saved.read_bytes()[:100])
        async with whole(tmp_path) as house:
            assert len(house.plane.history) == 0
            await house.ready()
