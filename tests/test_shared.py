"""What is kept beside an object is found by the object itself, and goes with it."""

from api.shared import Kept


class Object:
    """Equal to any other."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Object)

    def __hash__(self) -> int:
        return 1


def test_a_value_is_that_of_one_object() -> None:
    """Not of one that looks alike."""
    one, other = Object(), Object()
    kept = Kept(9)
    kept.put(one, "a", 1)
    assert (kept.get(one, "a"), kept.get(one, "b"), kept.get(other, "a")) == (1, None, None)
    kept.put(one, "a", 2)
    assert (kept.get(one, "a"), len(kept)) == (2, 1)


def test_values_go_with_their_object() -> None:
    """At once, and no others."""
    one, other = Object(), Object()
    kept = Kept(9)
    for key in "ab":
        kept.put(one, key, key)
        kept.put(other, key, key)
    del one
    assert len(kept) == 2
    assert [kept.get(other, key) for key in "ab"] == ["a", "b"]


def test_there_are_no_more_than_may_be() -> None:
    """The oldest goes."""
    one = Object()
    kept = Kept(2)
    for key in "abc":
        kept.put(one, key, key)
    assert [kept.get(one, key) for key in "abc"] == [None, "b", "c"]
