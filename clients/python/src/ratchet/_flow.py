"""The decorator: each call of a function is an execution."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._run import Run

if TYPE_CHECKING:
    from ._client import Client

F = TypeVar("F", bound=Callable[..., Any])


def decorate(client: Client, flow_id: str, options: dict[str, Any]) -> Callable[[F], F]:
    """`Client.flow`."""
    options = dict(options)
    record_arguments = options.pop("record_arguments", False)
    record_result = options.pop("record_result", False)
    # A wrong option fails here, where the function is defined, and not hours later, where it is called.
    client.execution(flow_id, **options)

    def wrap(function: F) -> F:
        signature = inspect.signature(function)

        def open_run(args: tuple[Any, ...], named: dict[str, Any]) -> Run:
            given = dict(options)
            if record_arguments:
                try:
                    bound = signature.bind(*args, **named)
                except TypeError:
                    # The call itself says so, in its own words.
                    pass
                else:
                    given["variables"] = {**(given.get("variables") or {}), **bound.arguments}
            return client.execution(flow_id, **given)

        def keep(run: Run, result: Any) -> None:
            if record_result and result is not None:
                run.output(result)

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def async_generator(*args: Any, **named: Any) -> AsyncGenerator[Any, None]:
                from ._aio import AsyncRun

                async with AsyncRun(open_run(args, named)):
                    inner = function(*args, **named)
                    try:
                        async for item in inner:
                            yield item
                    finally:
                        await inner.aclose()

            return cast(F, async_generator)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **named: Any) -> Any:
                from ._aio import AsyncRun

                async with AsyncRun(open_run(args, named)) as run:
                    result = await function(*args, **named)
                    keep(run, result)
                return result

            return cast(F, coroutine)
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **named: Any) -> Generator[Any, Any, Any]:
                with open_run(args, named) as run:
                    result = cast(Any, (yield from function(*args, **named)))
                    keep(run, result)
                return result

            return cast(F, generator)

        @functools.wraps(function)
        def plain(*args: Any, **named: Any) -> Any:
            with open_run(args, named) as run:
                result = function(*args, **named)
                keep(run, result)
            return result

        return cast(F, plain)

    return wrap
