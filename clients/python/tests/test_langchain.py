"""The callback handler, with the real langchain-core and langgraph, and a model that is made up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import pytest
from conftest import Proxy, until
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult, Generation
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

from ratchet import Client, Execution
from ratchet.langchain import RatchetCallbackHandler, tokens_of


class Model(BaseChatModel):
    """Answers "yes", and says that it took 12 tokens."""

    @property
    def _llm_type(self) -> str:
        return "made-up"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        message = AIMessage(content="yes", usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12})
        return ChatResult(generations=[ChatGeneration(message=message)])


class Broken(Model):
    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        raise ConnectionError("the model is away")


@tool
def lookup(key: str) -> str:
    """Looks something up."""
    return f"value of {key}"


class Nothing(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(page_content="a")]


def shout(text: str) -> str:
    return f"{text}!"


class State(TypedDict, total=False):
    question: str
    answer: str


@pytest.fixture
def reported(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, Any]]]:
    """The steps that the handler reports, by id: what is sent to the service, before it is."""
    from ratchet._reporter import Reporter

    steps: dict[str, dict[str, Any]] = {}
    add = Reporter.add_step

    def spy(self: Reporter, step_id: str, fields: Any) -> None:
        steps.setdefault(step_id, {}).update(fields)
        add(self, step_id, fields)

    monkeypatch.setattr(Reporter, "add_step", spy)
    yield steps


def config(handler: RatchetCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


def names(steps: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(s["step_type"], s["step_name"], s["status"]) for _, s in sorted(steps.items())]


def test_a_chain_is_an_execution_with_its_model_and_tool_as_steps(
    client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]
) -> None:
    def think(question: str) -> str:
        answer = Model().invoke(question)
        lookup.invoke({"key": "k"})
        return str(answer.content)

    assert RunnableLambda(think).invoke("is it?", config(RatchetCallbackHandler(client, flow))) == "yes"
    execution = only()
    assert execution.status == "completed"
    assert (execution.tokens_used, execution.tool_calls_count) == (12, 1)
    assert names(reported) == [("llm", "Model", "completed"), ("tool", "lookup", "completed")]
    assert execution.variables == {} and execution.final_output is None
    assert not any("input_data" in step or "output_data" in step for step in reported.values())


def test_data_is_recorded_where_that_is_asked_for(
    client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]
) -> None:
    def think(given: dict[str, Any]) -> dict[str, Any]:
        return {"answer": Model().invoke(given["question"]).content}

    RunnableLambda(think).invoke({"question": "is it?"}, config(RatchetCallbackHandler(client, flow, record_data=True)))
    execution = only()
    assert execution.variables == {"question": "is it?"}
    assert execution.final_output == {"answer": "yes"}
    (step,) = reported.values()
    assert step["input_data"] == {"messages": [["human: is it?"]]}
    assert step["output_data"] == {"generations": [["yes"]]}


def test_a_chain_that_fails_is_a_failed_execution(
    client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]
) -> None:
    def think(question: str) -> str:
        return str(Broken().invoke(question).content)

    chain = RunnableLambda(think)
    with pytest.raises(ConnectionError):
        chain.invoke("is it?", config(RatchetCallbackHandler(client, flow)))
    execution = only()
    assert execution.status == "failed"
    assert execution.error_message == "ConnectionError: the model is away"
    assert names(reported) == [("llm", "Broken", "failed")]


def test_a_model_alone_is_an_execution(client: Client, flow: str, only: Callable[[], Execution]) -> None:
    Model().invoke("is it?", config(RatchetCallbackHandler(client, flow)))
    assert (only().status, only().tokens_used) == ("completed", 12)


def test_a_completion_model_and_a_retriever(
    client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]
) -> None:
    def think(question: str) -> str:
        Nothing().invoke(question)
        return FakeListLLM(responses=["no"]).invoke(question)

    RunnableLambda(think).invoke("x", config(RatchetCallbackHandler(client, flow)))
    assert only().tokens_used is None
    assert names(reported) == [("retriever", "Nothing", "completed"), ("llm", "FakeListLLM", "completed")]


def test_a_graph_has_its_nodes_as_steps(
    client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]
) -> None:
    def ask(state: State) -> State:
        return {"answer": str(Model().invoke(state.get("question", "")).content)}

    def check(state: State) -> State:
        return {"answer": state.get("answer", "") + "!"}

    graph: Any = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("check", check)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "check")
    graph.add_edge("check", END)
    assert graph.compile().invoke({"question": "is it?"}, config(RatchetCallbackHandler(client, flow)))["answer"] == "yes!"
    assert (only().status, only().tokens_used) == ("completed", 12)
    assert names(reported) == [("node", "ask", "completed"), ("llm", "Model", "completed"), ("node", "check", "completed")]


def test_a_node_that_waits_for_a_person_is_interrupted(client: Client, flow: str, reported: dict[str, dict[str, Any]]) -> None:
    from uuid import uuid4

    handler = RatchetCallbackHandler(client, flow)
    root, node = uuid4(), uuid4()
    handler.on_chain_start(None, {}, run_id=root, name="graph")
    handler.on_chain_start(None, {}, run_id=node, parent_run_id=root, name="ask", metadata={"langgraph_node": "ask"})
    handler.on_chain_error(GraphInterrupt(()), run_id=node, parent_run_id=root)
    handler.on_chain_end({}, run_id=root)
    assert names(reported) == [("node", "ask", "interrupted")]


def test_within_a_run_it_adds_to_that_one(client: Client, flow: str, only: Callable[[], Execution], reported: dict[str, dict[str, Any]]) -> None:
    handler = RatchetCallbackHandler(client, "another-flow")
    with client.execution(flow) as run:
        Model().invoke("one", config(handler))
        Model().invoke("two", config(handler))
        run.count(tokens=1)
    assert (only().status, only().tokens_used) == ("completed", 25)
    assert [name for _, name, _ in names(reported)] == ["Model", "Model"]


def test_a_task_that_is_cancelled_leaves_no_execution_open(client: Client, flow: str, only: Callable[[], Execution]) -> None:
    begun = asyncio.Event()

    async def slow(question: str) -> str:
        begun.set()
        await asyncio.sleep(30)
        return question

    async def main() -> None:
        task = asyncio.ensure_future(RunnableLambda(slow).ainvoke("x", config(RatchetCallbackHandler(client, flow))))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: only().ended)
    assert only().status == "cancelled"


def test_two_chains_at_once_are_two_executions(client: Client, direct: Client, flow: str) -> None:
    async def echo(value: str) -> str:
        await asyncio.sleep(0.1)
        return value

    handler = RatchetCallbackHandler(client, flow)

    async def main() -> list[str]:
        return await RunnableLambda(echo).abatch(["a", "b"], config(handler))

    assert asyncio.run(main()) == ["a", "b"]
    assert [e.status for e in direct.list(flow_id=flow).executions] == ["completed", "completed"]
    assert handler._open == {}


def test_a_service_that_is_away_stops_no_chain(client: Client, proxy: Proxy, flow: str) -> None:
    proxy.down()
    handler = RatchetCallbackHandler(client, flow, report_timeout=0.3)
    assert RunnableLambda(shout).invoke("x", config(handler)) == "x!"


def test_a_handler_that_fails_stops_no_chain(
    client: Client, flow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **named: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Client, "execution", broken)
    with caplog.at_level(logging.ERROR, "ratchet"):
        assert RunnableLambda(shout).invoke("x", config(RatchetCallbackHandler(client, flow))) == "x!"
    assert "a callback failed" in caplog.text


def test_tokens_are_counted_once() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    message = AIMessage(content="", usage_metadata=usage)
    both = LLMResult(generations=[[ChatGeneration(message=message)]], llm_output={"token_usage": {"total_tokens": 3}})
    assert tokens_of(both) == 3
    assert tokens_of(LLMResult(generations=[[Generation(text="")]], llm_output={"token_usage": {"total_tokens": 4}})) == 4
    assert tokens_of(LLMResult(generations=[[Generation(text="")]], llm_output=None)) == 0
