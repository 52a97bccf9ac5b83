"""A long list lets others be served in between."""

import asyncio

from api.turns import in_turns


async def test_others_are_served_between_items_that_take_long() -> None:
    """After each, if each takes longer than a turn."""
    order: list[str] = []

    async def other() -> None:
        for _ in range(3):
            order.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for item in in_turns("abc", turn=0):
        order.append(item)  # noqa: PERF401 - between them, others do
    await task
    assert order == ["a", "other", "b", "other", "c", "other"]


async def test_a_short_list_is_not_held_up() -> None:
    """Nobody comes between its items."""
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    async for item in in_turns("abc", turn=3_600):
        order.append(item)  # noqa: PERF401 - likewise
    await task
    assert order == ["a", "b", "c", "other"]
