"""One client that rejects before anybody accepted: who starves, for how long, and what feeds them again."""

from pathlib import Path
from typing import Any

from tests.fakes.whole import Whole, whole
from tests.fakes.xds_client import until
from xds_server.domain.resource import CDS


async def rejected_by_a_rogue(house: Whole, *, delta: bool) -> Any:
    """Let a client of the sidecars' group reject all clusters; return what it was sent."""
    await until(lambda: bool(house.plane.publish.published.value))
    rogue = house.xds.ads(delta=delta, node="rogue")
    await rogue.say(CDS)
    response = await rogue.hear()
    await rogue.answer(response, error="I do not like any of it")
    await until(lambda: house.plane.ads.nodes()["rogue"].types["CDS"].state == "NACKED")
    return response


async def test_nobody_else_is_sent_it_by_default(tmp_path: Path) -> None:
    """What was rejected before anybody accepted it, and has no last good version, is for a joiner as if it were not."""
    async with whole(tmp_path) as house:
        await rejected_by_a_rogue(house, delta=False)
        envoy = house.xds.ads(delta=False, node="envoy")
        await envoy.say(CDS)
        response = await envoy.hear()
        assert not response.resources
        await envoy.answer(response)
        assert await envoy.is_quiet()


async def test_a_second_opinion_feeds_all(tmp_path: Path) -> None:
    """With second_opinion_s, another node tries each alone after that time; it accepts, so that all have everything."""
    async with whole(tmp_path, limits={"second_opinion_s": 0.1}) as house:
        await rejected_by_a_rogue(house, delta=False)
        envoy = house.xds.ads(delta=False, node="envoy")
        await envoy.say(CDS)
        response = await envoy.hear()
        while len(response.resources) < 2:
            await envoy.answer(response)
            response = await envoy.hear()
        await envoy.answer(response)
        late = house.xds.ads(delta=False, node="late")
        await late.say(CDS)
        assert len((await late.hear()).resources) == 2


async def test_a_client_that_returns_feeds_all(tmp_path: Path) -> None:
    """After a restart, what a delta client says it holds is proof: the rogue that came first starves nobody."""
    async with whole(tmp_path) as house:
        told = await rejected_by_a_rogue(house, delta=True)
        starved = house.xds.ads(delta=True, node="starved")
        await starved.say(CDS)
        assert not (await starved.hear()).resources
        back = house.xds.ads(delta=True, node="back")
        await back.say(CDS, initial_resource_versions={r.name: r.version for r in told.resources})
        assert len((await starved.hear()).resources) == 2
