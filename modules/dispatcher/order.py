"""In which order the sets are looked at where none is named: Kamailio has them in a balanced tree (AVL), and comes to
what is below a set before the set itself. Where an address is in several sets, the first one is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Node:
    """A set in the tree, with what is below it: smaller numbers on the one side, larger ones on the other."""

    __slots__ = ("below", "height", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.below: list[Node | None] = [None, None]
        self.height = 1

    def measure(self) -> None:
        self.height = 1 + max(map(_height, self.below))


def order_of(numbers: Iterable[int]) -> list[int]:
    """The numbers of sets, given as a list names them first, in the order in which they are looked at."""
    tree: Node | None = None
    for number in numbers:
        tree = _inserted(tree, number)
    return [node.number for node in _walk(tree)]


def _walk(node: Node | None) -> Iterator[Node]:
    if node is not None:
        for child in node.below:
            yield from _walk(child)
        yield node


def _height(node: Node | None) -> int:
    return node.height if node is not None else 0


def _inserted(node: Node | None, number: int) -> Node:
    """The tree with one number more."""
    if node is None:
        return Node(number)
    side = int(number > node.number)
    child = node.below[side] = _inserted(node.below[side], number)
    node.measure()
    if child.height - _height(node.below[1 - side]) > 1:
        if _height(child.below[1 - side]) > _height(child.below[side]):
            node.below[side] = _lifted(child, 1 - side)
        return _lifted(node, side)
    return node


def _lifted(node: Node, side: int) -> Node:
    """The tree with the root's child of this side as its root."""
    child = node.below[side]
    assert child is not None
    node.below[side], child.below[1 - side] = child.below[1 - side], node
    node.measure()
    child.measure()
    return child
