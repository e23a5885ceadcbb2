"""A callback handler for LangChain and LangGraph: what they run is an execution, its models, tools and nodes are steps.

    from ratchet import Client
    from ratchet.langchain import RatchetCallbackHandler

    agent.invoke(question, config={"callbacks": [RatchetCallbackHandler(Client(), "support-agent")]})

Needs langchain-core, which this package does not install by itself: `pip install "ratchet[langchain]"`.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from ._client import Client
from ._json import as_object, is_object
from ._run import Run, current_run
from ._steps import Step

logger = logging.getLogger("ratchet")

F = TypeVar("F", bound=Callable[..., None])

_HIDDEN = "langsmith:hidden"
"""The tag by which LangChain marks what is of no interest to people."""


def _never_raises(method: F) -> F:
    """A callback that fails must not be the chain's failure."""

    @functools.wraps(method)
    def wrapped(*args: Any, **named: Any) -> None:
        try:
            method(*args, **named)
        except Exception:
            logger.exception("ratchet: a callback failed")

    return cast(F, wrapped)


@dataclass
class _Open:
    """Something that LangChain has begun and not ended: `step` is None where it is none."""

    run: Run
    is_root: bool
    opened_run: bool
    step: Step | None


class RatchetCallbackHandler(BaseCallbackHandler):
    """Reports each root run as an execution. May be used for several at once.

    Inside the block of a run (`with client.execution(...)`), it adds steps and usage to that one and opens none.
    Tokens are those of the models' usage metadata. What models and tools are given and answer is not recorded, for it
    may be anybody's secrets, unless `record_data` is true. It never raises, and never stops a chain.
    """

    raise_error = False

    def __init__(self, client: Client, flow_id: str | None = None, *, record_data: bool = False, **options: Any) -> None:
        """`flow_id` is the chain's own name where it is None. `options` are those of `Client.execution`."""
        super().__init__()
        self._client = client
        self._flow_id = flow_id
        self._record_data = record_data
        self._options: dict[str, Any] = {"start_timeout": 0.0, **options}
        self._open: dict[UUID, _Open] = {}
        self._lock = threading.Lock()

    # --- begin and end -----------------------------------------------------------------------------------------------

    def _begin(
        self, kind: str, name: str, run_id: UUID, parent_run_id: UUID | None, data: object, *, is_step: bool = True, tool: str | None = None
    ) -> None:
        with self._lock:
            parent = self._open.get(parent_run_id) if parent_run_id is not None else None
        opened = False
        if parent is not None:
            run = parent.run
        else:
            around = current_run()
            if around is not None:
                run = around
            elif parent_run_id is None:
                options = dict(self._options)
                if self._record_data and data is not None:
                    options.setdefault("variables", as_object(data) if is_object(data) else {"input": data})
                run = self._client.execution(self._flow_id or name, **options)
                # Not waited for: a chain may be on an event loop.
                run.start()
                opened = True
            else:
                # Of a root that this handler has not seen.
                return
        step: Step | None = None
        if is_step and not opened:
            step = run.step(name, type=kind, tool_name=tool, input=data if self._record_data else None)
            step.start()
        with self._lock:
            self._open[run_id] = _Open(run, parent is None, opened, step)

    def _end(self, run_id: UUID, error: BaseException | None = None, output: object = None) -> None:
        with self._lock:
            ended = self._open.pop(run_id, None)
        if ended is None:
            return
        if ended.step is not None:
            if self._record_data and output is not None:
                ended.step.output(output)
            paused = error is not None and any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__)
            ended.step.finish(error, "interrupted" if paused else None)
        if ended.opened_run:
            if self._record_data and output is not None:
                ended.run.output(output)
            ended.run.finish(error)

    # --- chains and graphs -------------------------------------------------------------------------------------------

    @_never_raises
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = _name(serialized, kwargs, "chain")
        # Of the many chains within chains, the nodes of a graph are those that people know by name.
        node = as_object(metadata).get("langgraph_node")
        is_step = node == name and _HIDDEN not in (tags or [])
        self._begin("node", name, run_id, parent_run_id, inputs, is_step=is_step)

    @_never_raises
    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, output=outputs)

    @_never_raises
    def on_chain_error(self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, error)

    # --- models ------------------------------------------------------------------------------------------------------

    @_never_raises
    def on_llm_start(
        self, serialized: dict[str, Any] | None, prompts: list[str], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self._begin("llm", _name(serialized, kwargs, "llm"), run_id, parent_run_id, {"prompts": prompts})

    @_never_raises
    def on_chat_model_start(
        self, serialized: dict[str, Any] | None, messages: list[list[Any]], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        data = {"messages": [[f"{m.type}: {m.text}" for m in each] for each in messages]} if self._record_data else None
        self._begin("llm", _name(serialized, kwargs, "chat model"), run_id, parent_run_id, data)

    @_never_raises
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        with self._lock:
            known = self._open.get(run_id)
        if known is not None and (tokens := tokens_of(response)):
            known.run.count(tokens=tokens)
        texts = [[generation.text for generation in each] for each in response.generations] if self._record_data else None
        self._end(run_id, output=None if texts is None else {"generations": texts})

    @_never_raises
    def on_llm_error(self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, error)

    # --- tools and retrievers ----------------------------------------------------------------------------------------

    @_never_raises
    def on_tool_start(
        self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        name = _name(serialized, kwargs, "tool")
        self._begin("tool", name, run_id, parent_run_id, {"input": input_str}, tool=name)
        with self._lock:
            known = self._open.get(run_id)
        if known is not None:
            known.run.count(tool_calls=1)

    @_never_raises
    def on_tool_end(self, output: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, output=output)

    @_never_raises
    def on_tool_error(self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, error)

    @_never_raises
    def on_retriever_start(
        self, serialized: dict[str, Any] | None, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self._begin("retriever", _name(serialized, kwargs, "retriever"), run_id, parent_run_id, {"query": query})

    @_never_raises
    def on_retriever_end(self, documents: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, output={"documents": len(documents)})

    @_never_raises
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self._end(run_id, error)


def _name(serialized: dict[str, Any] | None, named: dict[str, Any], otherwise: str) -> str:
    """What people call it."""
    fields = as_object(serialized)
    path = fields.get("id")
    for name in (named.get("name"), fields.get("name"), cast("list[Any]", path)[-1] if isinstance(path, list) and path else None):
        if isinstance(name, str) and name:
            return name
    return otherwise


def tokens_of(response: LLMResult) -> int:
    """The tokens that a model says it has used, in and out; 0 where it says nothing."""
    total = 0
    for generations in response.generations:
        for generation in generations:
            message = generation.message if isinstance(generation, ChatGeneration) else None
            usage = message.usage_metadata if isinstance(message, AIMessage) else None
            if usage is not None:
                total += usage["total_tokens"]
    if total:
        return total
    said = as_object(response.llm_output)
    for member in ("token_usage", "usage"):
        tokens = as_object(said.get(member)).get("total_tokens")
        if isinstance(tokens, int):
            return tokens
    return 0
