"""Toy backends: a queue of timers behind just enough HTTP/1.1."""

import asyncio

import httpx
import pytest

from xds_server.demo.backends import Backend, Backends


def test_one_slot_serves_in_order() -> None:
    """Requests that come together wait for each other on one slot, and not on two."""
    one = Backend("a", "127.0.0.1", 0, slots=1)
    assert [one.finish_at(5.0, 100) for _ in range(3)] == pytest.approx([5.1, 5.2, 5.3])
    two = Backend("a", "127.0.0.1", 0, slots=2)
    assert [two.finish_at(5.0, 100) for _ in range(3)] == pytest.approx([5.1, 5.1, 5.2])


def test_idle_time_is_not_saved_up() -> None:
    """A request that finds an idle backend starts at once, not in the past."""
    b = Backend("a", "127.0.0.1", 0, speed=2.0)
    b.finish_at(1.0, 100)
    assert b.finish_at(9.0, 100) == pytest.approx(9.05)


async def test_answers_who_it_is_and_obeys_the_speed_call() -> None:
    """The answer names the backend; the control call changes the time later requests take."""
    async with Backends([Backend("b7", "127.0.0.1", 0, usual_work_ms=1)]) as backends, httpx.AsyncClient() as client:
        b7 = backends.by_name["b7"]
        url = f"http://{b7.address}:{b7.port}"
        answer = await client.get(url, headers={"x-work-ms": "2.5"})
        assert answer.headers["x-backend"] == "b7"
        assert answer.json() == {"backend": "b7", "speed": 1.0, "served": 1}
        assert (await client.post(f"{url}/-/speed/0.25")).json()["speed"] == 0.25
        assert b7.finish_at(1e9, 1) == pytest.approx(1e9 + 0.004)


@pytest.mark.parametrize("request_bytes", [b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", b"x" * 70_000])
async def test_refuses_what_it_does_not_speak(request_bytes: bytes) -> None:
    """A body or an endless head gets 400 and a closed connection, never a hang."""
    async with Backends([Backend("b", "127.0.0.1", 0)]) as backends:
        reader, writer = await asyncio.open_connection("127.0.0.1", backends.by_name["b"].port)
        writer.write(request_bytes)
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_a_busy_port_is_an_error_and_leaves_nothing_open() -> None:
    """When one port is taken, no other backend stays listening."""
    async with Backends([Backend("a", "127.0.0.1", 0)]) as taken:
        free = Backend("b", "127.0.0.1", 0)
        both = Backends([free, Backend("c", "127.0.0.1", taken.by_name["a"].port)])
        with pytest.raises(OSError, match="in use"):
            await both.__aenter__()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free.port)
