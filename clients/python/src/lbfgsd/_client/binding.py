"""Turns operations into methods of the clients.

An operation is written once, in a base class of both clients. As an attribute of `Client` it is a
method that returns its value; as one of `AsyncClient` it is a coroutine function. The overloads of
`__get__` say so to type checkers, with the parameters of the operation.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from .transport import AsyncTransport, BlockingTransport
from .transport.effects import Operation, Stream

P = ParamSpec("P")
T = TypeVar("T")

Function = Callable[..., Any]


class _Binding:
    """A descriptor that makes one method for each class of clients."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._methods: dict[type, Function] = {}
        functools.update_wrapper(cast("Function", self), function)

    def _bound(self, client: object, owner: type) -> Function:
        if owner not in self._methods:
            method, annotation = self._method(self._function, issubclass(owner, AsyncTransport))
            self._methods[owner] = _described(method, self._function, annotation)
        method = self._methods[owner]
        return method if client is None else cast("Function", method.__get__(client, owner))

    def _method(self, function: Function, is_async: bool) -> tuple[Function, str]:
        """The method, and the annotation of what it returns with {} for T of the function's."""
        raise NotImplementedError


def _described(method: Function, function: Function, annotation: str) -> Function:
    """The method with the name, documentation and signature of its function."""
    functools.update_wrapper(method, function)
    signature = inspect.signature(function)
    generic = str(signature.return_annotation)
    returned = annotation.format(generic[generic.index("[") + 1 : -1])
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        return_annotation=returned
    )
    method.__annotations__ = {**function.__annotations__, "return": returned}
    return method


class operation(_Binding, Generic[P, T]):
    """Decorates a function that returns an `Operation`: its method runs it to its value."""

    def __init__(self, function: Callable[Concatenate[Any, P], Operation[T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, client: BlockingTransport, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, client: AsyncTransport, owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(
        self, client: None, owner: type[BlockingTransport]
    ) -> Callable[Concatenate[Any, P], T]: ...
    @overload
    def __get__(
        self, client: None, owner: type[AsyncTransport]
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return self._bound(client, owner)

    def _method(self, function: Function, is_async: bool) -> tuple[Function, str]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self._run(function(self, *args, **kwargs))

        async def async_method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await self._run(function(self, *args, **kwargs))

        return (async_method if is_async else method), "{}"


class stream(_Binding, Generic[P, T]):
    """Decorates a function that returns a `Stream`: its method returns an iterator."""

    def __init__(self, function: Callable[Concatenate[Any, P], Stream[T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, client: BlockingTransport, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncTransport, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(
        self, client: None, owner: type[BlockingTransport]
    ) -> Callable[Concatenate[Any, P], Iterator[T]]: ...
    @overload
    def __get__(
        self, client: None, owner: type[AsyncTransport]
    ) -> Callable[Concatenate[Any, P], AsyncIterator[T]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return self._bound(client, owner)

    def _method(self, function: Function, is_async: bool) -> tuple[Function, str]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self._iterate(function(self, *args, **kwargs))

        return method, "AsyncIterator[{}]" if is_async else "Iterator[{}]"
