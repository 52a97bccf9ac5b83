"""What many subscribers are told at once is worked out once.

A change that a thousand clients of one kind follow is a thousand times the same selection of the same record
for the same caller: only ids and cursors around it differ.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, VariableNode, Visitor, visit

_MAX_RESULTS = 64  # 15 kB each; they are of use for as long as a change takes to go out
_MAX_SELECTIONS = 256

Key = tuple[Any, ...]


class SharedResults:
    """The latest results, by what they depend on; what is compared by identity is kept with its result."""

    def __init__(self) -> None:
        self._results: OrderedDict[Key, tuple[Any, Any]] = OrderedDict()
        self._variables: OrderedDict[Key, tuple[Sequence[FieldNode], frozenset[str]]] = OrderedDict()

    def key(
        self,
        record: object,
        caller: object,
        nodes: Sequence[FieldNode],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> Key:
        """What a selection of `record` for `caller` depends on."""
        names = self._names(nodes, fragments)
        return (
            id(record),
            caller,
            tuple(map(id, nodes)),
            tuple([(name, repr(variables.get(name))) for name in names]),
        )

    def get(self, key: Key) -> Any:
        """The result; None if there is none."""
        found = self._results.get(key)
        return None if found is None else found[1]

    def put(self, key: Key, kept: Any, result: Any) -> None:
        """Remember a result, and whatever must live as long as it."""
        self._results[key] = (kept, result)
        if len(self._results) > _MAX_RESULTS:
            self._results.popitem(last=False)

    def _names(
        self, nodes: Sequence[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]
    ) -> frozenset[str]:
        key = tuple(map(id, nodes))
        found = self._variables.get(key)
        if found is None:
            found = self._variables[key] = (nodes, variables_below(nodes, fragments))
            if len(self._variables) > _MAX_SELECTIONS:
                self._variables.popitem(last=False)
        return found[1]


def variables_below(
    nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> frozenset[str]:
    """The variables that the selections of these fields use, in fragments too."""
    names: set[str] = set()
    spread: set[str] = set()

    class Uses(Visitor):
        """Notes variables, and where else to look."""

        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            names.add(node.name.value)

        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            spread.add(node.name.value)

    for node in nodes:
        if node.selection_set is not None:
            visit(node.selection_set, Uses())
    seen: set[str] = set()
    while left := spread - seen:
        name = left.pop()
        seen.add(name)
        if name in fragments:
            visit(fragments[name].selection_set, Uses())
    return frozenset(names)
