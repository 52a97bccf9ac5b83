"""What an application waits for at its websocket."""

import asyncio
from typing import Any

from api.flow_control import Gate, Inbox


def message(number: int) -> Any:
    """One of many."""
    return {"type": "websocket.receive", "text": str(number)}


async def test_messages_leave_in_the_order_in_which_they_came() -> None:
    """Whenever they are taken meanwhile."""
    inbox, came, left = Inbox(), 0, []
    for puts, takes in ((3, 1), (2, 2), (1, 3), (4, 4)):
        for _ in range(puts):
            inbox.put_nowait(message(came))
            came += 1
        assert not inbox.empty()
        left += [await inbox.get() for _ in range(takes)]
    assert inbox.empty()
    assert left == [message(number) for number in range(came)]


async def test_whoever_waits_for_a_message_gets_it() -> None:
    """Also after a wait that was given up."""
    inbox = Inbox()
    given_up = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    given_up.cancel()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(message(1))
    assert await waiting == message(1)
    assert given_up.cancelled()


async def test_a_gate_that_is_closed_again_holds_those_behind() -> None:
    """One at a time goes through, in the order in which they came; one that gave up is in nobody's way."""
    gate, passed = Gate(), []

    async def go_through(number: int) -> None:
        await gate.wait()
        gate.clear()
        passed.append(number)

    gate.clear()
    tasks = [asyncio.create_task(go_through(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    for so_far in ([0], [0, 2], [0, 2, 3]):
        gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert passed == so_far
