"""`resource`: one shared object per engine, for HTTP clients and connections."""

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from nbflow.context import current_context
from nbflow.errors import DefinitionError

T = TypeVar("T")


class Resource(Generic[T]):
    """Gives the same object to all steps of an engine; the engine closes it.

    Args:
        factory: makes the object; called on the engine's loop at first use there.
    """

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._outside: list[T] = []

    def __repr__(self) -> str:
        return f"<resource {getattr(self._factory, '__name__', self._factory)!r}>"

    def __reduce__(self) -> tuple[type["Resource[T]"], tuple[Callable[[], T]]]:
        # A step's own process makes its own object.
        return Resource, (self._factory,)

    def __call__(self) -> T:
        """The object of the running engine; outside a run one of the process."""
        context = current_context.get()
        if context is None:
            if not self._outside:
                self._outside.append(self._factory())
            return self._outside[0]
        made: T = context._scope.resource(self, self._factory)
        return made


def resource(factory: Callable[[], T]) -> Resource[T]:
    """Share one object among all steps of an engine: `client = resource(make_client)`.

    The result is called where the object is needed: `client().get(url)`. The object is
    made on the engine's loop at first use and closed with the engine (`aclose`,
    `close`, or leaving its context), which is what async clients and connections need:
    they belong to one loop.

    Raises:
        DefinitionError: `factory` is no plain function without parameters.
    """
    if not callable(factory) or inspect.iscoroutinefunction(factory):
        raise DefinitionError(
            f"resource() got {factory!r}: it takes a plain function without parameters "
            "that makes the object, such as `lambda: httpx.AsyncClient()`"
        )
    return Resource(factory)


async def close_resource(made: Any) -> None:
    """Close an object in the way it knows."""
    for name in ("aclose", "close"):
        method = getattr(made, name, None)
        if callable(method):
            result = method()
            if inspect.isawaitable(result):
                await result
            return
    if hasattr(type(made), "__aexit__"):
        await made.__aexit__(None, None, None)
    elif hasattr(type(made), "__exit__"):
        made.__exit__(None, None, None)
