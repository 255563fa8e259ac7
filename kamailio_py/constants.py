"""Functions for whose compiler some names are constants.

PyPy's compiler takes the globals of a module for constant until they change, and nothing else that is made at run time:
not what a function closes over, not the attributes of an object it does not know beforehand. So what there is one of in
a process, and what is used a hundred times for each request, is a global of the functions that use it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def namespace(**names: Any) -> dict[str, Any]:
    """The globals of a module of its own."""
    made = vars(ModuleType(__name__))
    made.update(names)
    return made


def over(function: F, **names: Any) -> F:
    """The function, with these globals beside those of its module.

    One without names it closes over; it and what is defined in it must not be called otherwise, since the compiler
    holds to the globals that a piece of code had first.
    """
    assert isinstance(function, FunctionType)
    made: Any = FunctionType(function.__code__, namespace(**function.__globals__ | names), function.__name__)
    return made
