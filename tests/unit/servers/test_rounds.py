"""Rounds: who was woken in one turn decides together, once; one's fault is not the others'."""

import asyncio

from xds_server.servers.rounds import Round


class _Sleeper:
    def __init__(self, name: str, rose: list[str], joins: Round | None = None) -> None:
        self._name, self._rose, self._joins = name, rose, joins

    def rise(self) -> None:
        self._rose.append(self._name)
        if self._joins is not None:
            joins, self._joins = self._joins, None
            joins.join(self)


async def test_all_who_were_woken_rise_before_anybody_else_runs():
    """In the turn after, in their order; who is woken again meanwhile rises in the next round."""
    rose: list[str] = []
    together = Round()
    together.join(_Sleeper("a", rose, together))
    asyncio.get_running_loop().call_soon(rose.append, "somebody else")
    together.join(_Sleeper("b", rose))
    assert rose == []
    await asyncio.sleep(0)
    assert rose == ["a", "b", "somebody else"]
    await asyncio.sleep(0)
    assert rose == ["a", "b", "somebody else", "a"]
