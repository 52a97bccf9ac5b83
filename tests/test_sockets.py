"""Nobody takes all the websockets, or all the operations of one."""

import hashlib
import json
from typing import Any

import pytest
import websockets

from api.sockets import Sockets, TooManySockets
from jobs.settings import Settings
from tests.records import an_image
from tests.sockets import opened, subscribe
from tests.system import running_system, until
from tests.test_api import connect

KEYS = {name: hashlib.sha256(f"{name}-key".encode()).hexdigest() for name in ("ada", "bob")}


def test_an_address_has_so_many() -> None:
    """Each that is closed makes room for another; other addresses have their own."""
    sockets = Sockets(per_address=2, per_owner=9, operations_per_owner=9)
    with sockets.opened("203.0.113.1"), sockets.opened("203.0.113.2"):
        with sockets.opened("203.0.113.1"), pytest.raises(TooManySockets), sockets.opened("203.0.113.1"):
            pass
        with sockets.opened("203.0.113.1"):
            pass


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("203.0.113.1", "203.0.113.2", False),
        ("a-name", "a-name", True),
    ],
)
def test_who_counts_as_one_address(one: str, other: str, same: bool) -> None:
    """Of IPv6 everybody has as many as he likes: his network counts."""
    sockets = Sockets(per_address=1, per_owner=9, operations_per_owner=9)
    with sockets.opened(one):
        if same:
            with pytest.raises(TooManySockets), sockets.opened(other):
                pass
        else:
            with sockets.opened(other):
                pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "", None])
def test_this_machine_is_not_counted(host: str | None) -> None:
    """Nor is a client of whom the server knows no address."""
    sockets = Sockets(per_address=1, per_owner=9, operations_per_owner=9)
    with sockets.opened(host), sockets.opened(host):
        pass


def test_an_owner_has_so_many() -> None:
    """From whatever address; a websocket that changes hands counts once."""
    sockets = Sockets(per_address=9, per_owner=1, operations_per_owner=9)
    with sockets.opened("203.0.113.1") as one:
        one.belongs_to("ada")
        one.belongs_to("ada")
        with sockets.opened("203.0.113.2") as other:
            with pytest.raises(TooManySockets):
                other.belongs_to("ada")
            other.belongs_to("bob")
            one.belongs_to("eve")
            other.belongs_to("ada")
    with sockets.opened("203.0.113.3") as later:
        later.belongs_to("ada")


async def test_too_many_of_an_address_are_refused_before_they_are_open(settings: Settings) -> None:
    """With the status that says so."""
    few = settings.model_copy(update={"max_sockets_per_address": 2})
    proxied: dict[str, Any] = {"additional_headers": {"X-Forwarded-For": "203.0.113.9"}}
    async with running_system(few, worker=False, events=False) as system:
        async with connect(system, **proxied), connect(system, **proxied), connect(system):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(system, **proxied)
        assert refused.value.response.status_code == 429


async def test_too_many_of_an_owner_are_closed(settings: Settings) -> None:
    """As soon as it is known whose they are; others are let in, and so is the owner when there is room."""
    few = settings.model_copy(update={"auth": "keys", "api_keys": KEYS, "max_sockets_per_owner": 1})
    async with (
        running_system(few, worker=False, events=False) as system,
        connect(system) as first,
        connect(system) as second,
        connect(system) as of_bob,
    ):
        assert await init(first, "ada-key") == "connection_ack"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await init(second, "ada-key")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        assert await init(of_bob, "bob-key") == "connection_ack"
        await first.close()
        async with connect(system) as third:
            assert await init(third, "ada-key") == "connection_ack"


async def test_a_socket_has_so_many_operations(settings: Settings) -> None:
    """One more is an error of its own; when one is over there is room again."""
    few = settings.model_copy(update={"max_socket_operations": 2})
    async with running_system(few, worker=False, events=False) as system, connect(system) as socket:
        image = an_image(owner="local")
        await system.services.catalog.add([image])
        await socket.send('{"type": "connection_init"}')
        await socket.recv()
        for number in ("1", "2"):
            await follow(socket, number, image.id)
            assert await told(socket) == ("next", number)
        await follow(socket, "3", image.id)
        assert await refused(socket) == ("3", "TOO_MANY_OPERATIONS")
        await socket.send('{"type": "complete", "id": "1"}')
        await follow(socket, "4", image.id)
        assert await told(socket) == ("next", "4")


async def test_an_owner_has_so_many_operations(settings: Settings) -> None:
    """Over all of their websockets, which stay open; others have their own, and what ends makes room."""
    few = settings.model_copy(update={"auth": "keys", "api_keys": KEYS, "max_operations_per_owner": 2})
    async with (
        running_system(few, worker=False, events=False) as system,
        connect(system) as first,
        connect(system) as second,
        connect(system) as of_bob,
    ):
        images = {owner: an_image(owner=owner) for owner in KEYS}
        await system.services.catalog.add([*images.values()])
        for socket, key in ((first, "ada-key"), (second, "ada-key"), (of_bob, "bob-key")):
            assert await init(socket, key) == "connection_ack"
        for socket in (first, second):
            await follow(socket, "1", images["ada"].id)
            assert await told(socket) == ("next", "1")
        for number in ("2", "3"):  # what is refused is not counted
            await follow(second, number, images["ada"].id)
            assert await refused(second) == (number, "TOO_MANY_OPERATIONS")
        await follow(of_bob, "1", images["bob"].id)
        assert await told(of_bob) == ("next", "1")
        await second.send('{"type": "complete", "id": "1"}')
        await follow(second, "4", images["ada"].id)
        assert await told(second) == ("next", "4")
        await first.close()
        await until(lambda: is_admitted(second, "5", images["ada"].id))
        await follow(second, "6", images["ada"].id)
        assert await refused(second) == ("6", "TOO_MANY_OPERATIONS")


async def test_an_operation_that_fails_makes_room(settings: Settings) -> None:
    """As one that was cancelled does, and one that is over."""
    few = settings.model_copy(update={"max_operations_per_owner": 1})
    async with running_system(few, worker=False, events=False) as system, opened(system.url) as socket:
        for number in "123":
            await socket.send(subscribe(number, query="{ nothing }"))
            assert "code" not in (await socket.receive())["payload"][0].get("extensions", {})
        for number in "456":
            await socket.send(subscribe(number))
            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]


def test_a_socket_has_twenty_operations_by_default() -> None:
    """As many as a page has any use for."""
    assert Settings.model_fields["max_socket_operations"].default == 20


async def init(socket: Any, key: str) -> str:
    """What is said to a client that says who it is."""
    payload = {"authorization": f"Bearer {key}"}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    said: str = json.loads(await socket.recv())["type"]
    return said


async def follow(socket: Any, number: str, image_id: str) -> None:
    """Start an operation that does not end."""
    query = "subscription ($id: ID!) { imageUpdates(ids: [$id]) { id } }"
    payload = {"query": query, "variables": {"id": image_id}}
    await socket.send(json.dumps({"type": "subscribe", "id": number, "payload": payload}))


async def is_admitted(socket: Any, number: str, image_id: str) -> bool:
    """Whether an operation is started."""
    await follow(socket, number, image_id)
    return await told(socket) == ("next", number)


async def refused(socket: Any) -> tuple[str, str]:
    """The next message, which tells of an operation that it is refused, and by which code."""
    message = json.loads(await socket.recv())
    assert message["type"] == "error", message
    return message["id"], message["payload"][0]["extensions"]["code"]


async def told(socket: Any) -> tuple[str, str]:
    """The next message: its type, and the operation that it is of."""
    message = json.loads(await socket.recv())
    return message["type"], message["id"]
