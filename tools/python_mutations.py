"""Breaks the Python client in one place at a time, and shows that a test fails each time.

    python3 tools/python_mutations.py [--only N,N-M | --sample N [--seed S]] [--list]

Each mutation is one edit of a copy of clients/ (in target/python-mutations). The tests that are nearest to it run first, once
without it, for they must pass then; after them all others, then the conformance list, until one fails. Prints a line for each, and
ends with 1 where a mutation was not found, or no longer applies: then the code has changed, and the mutation must be written anew.
Needs what tools/python-client.sh installs.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mutations import Mutation, all_apply, selected

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "python-mutations"
PYTHON = ROOT / ".tools" / "python-client" / "bin" / "python"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# More than all tests take, in seconds. A mutation that makes them hang is found.
LIMIT = 900

RETRY, TRANSPORT, CLIENT, WAIT = "_retry.py", "_transport.py", "_client.py", "_wait.py"
REPORTER, RUN, ENDING, BEATS, JSON, AIO = "_reporter.py", "_run.py", "_ending.py", "_heartbeats.py", "_json.py", "_aio.py"
STEPS, FLOW, LANGCHAIN = "_steps.py", "_flow.py", "langchain.py"


# Of each the file is one of src/ratchet, and the nearest tests are as pytest's -k takes them; or `list:TEXT`, cases of the
# conformance list.
MUTATIONS = [
    Mutation(
        "each attempt has a key of its own",
        CLIENT,
        "        return lambda timeout: transport.attempt(request.method, request.path, request.headers, request.body, timeout)",
        """        def attempt(timeout: float) -> Answer:
            keyed = "idempotency-key" in request.headers
            headers = {**request.headers, **({"idempotency-key": uuid.uuid4().hex} if keyed else {})}
            return transport.attempt(request.method, request.path, headers, request.body, timeout)

        return attempt""",
        "list:lost_answer",
    ),
    Mutation(
        "all calls have the same key",
        CLIENT,
        'or str(uuid.uuid4())',
        'or "key"',
        "frozen_with_its_key",
    ),
    Mutation("429 is not repeated", RETRY, "{408, 429, 502, 503, 504}", "{408, 502, 503, 504}", "statuses_are_repeated"),
    Mutation("502 is not repeated", RETRY, "{408, 429, 502, 503, 504}", "{408, 429, 503, 504}", "statuses_are_repeated"),
    Mutation("409 is repeated", RETRY, "{408, 429, 502, 503, 504}", "{408, 409, 429, 502, 503, 504}", "not_repeated"),
    Mutation(
        "500 is repeated whatever it says",
        RETRY,
        "(status >= 500 and error_code is None)",
        "status >= 500",
        "500_is_repeated",
    ),
    Mutation(
        "500 is never repeated",
        RETRY,
        "    if status in _REPEATED or (status >= 500 and error_code is None):",
        "    if status in _REPEATED:",
        "500_is_repeated",
    ),
    Mutation("a failed attempt ends the call", RETRY, "            failure.__cause__ = error\n", "            raise failure from error\n", "failed_attempt"),
    Mutation("one attempt too many", RETRY, "if sent >= policy.attempts:", "if sent > policy.attempts:", "attempts_have_an_end"),
    Mutation("one attempt too few", RETRY, "if sent >= policy.attempts:", "if sent + 1 >= policy.attempts:", "attempts_have_an_end"),
    Mutation("no jitter", RETRY, "* draw()", "* 1.0", "pauses"),
    Mutation("no backoff", RETRY, "4.0**sent)", "4.0)", "pauses_are_random"),
    Mutation("the pause may be zero", RETRY, "return self.backoff_base + (", "return 0.0 * self.backoff_base + (", "pauses"),
    Mutation("the pause has no cap", RETRY, "min(self.backoff_cap, self.backoff_base * 4.0**sent)", "self.backoff_base * 4.0**sent", "pauses"),
    Mutation("Retry-After is not obeyed", RETRY, "pause = max(policy.backoff(sent), asked or 0.0)", "pause = policy.backoff(sent)", "retry_after"),
    Mutation("Retry-After shortens the pause", RETRY, "pause = max(policy.backoff(sent), asked or 0.0)", "pause = policy.backoff(sent) if asked is None else asked", "retry_after"),
    Mutation(
        "a Retry-After of an earlier answer counts still",
        RETRY,
        "        asked: float | None = None\n        try:",
        "        asked: float | None = locals().get('asked')\n        try:",
        "speaks_of_its_own_answer",
    ),
    Mutation(
        "any Retry-After is waited for",
        RETRY,
        "        if asked is not None and asked > policy.retry_after_limit:\n            raise failure\n",
        "",
        "beyond_the_limit",
    ),
    Mutation("a Retry-After of a date is not read", RETRY, "        date = parsedate_to_datetime(value)\n", "        raise ValueError\n", "what_retry_after_says"),
    Mutation("a date that has passed is a negative pause", RETRY, "return max(0.0, (date - now).total_seconds())", "return (date - now).total_seconds()", "what_retry_after_says"),
    Mutation("the deadline does not bound the pauses", RETRY, "        if clock() + pause >= until:\n            raise failure\n", "", "deadline"),
    Mutation("the deadline does not cut an attempt", RETRY, "min(policy.timeout, left)", "policy.timeout", "deadline"),
    Mutation("the timeout of an attempt is the whole deadline", RETRY, "min(policy.timeout, left)", "left", "deadline"),
    Mutation(
        "a success that is not JSON is taken",
        RETRY,
        "        if not readable:\n            return Unavailable(",
        "        if False:\n            return Unavailable(",
        "success_without_json",
    ),
    Mutation("a replay is not told", RETRY, '(answer.header("idempotency-replayed") or "").lower() == "true"', "False", "replays_are_marked"),
    Mutation("an unknown outcome is not told", "_errors.py", 'return self.error_code == "OUTCOME_UNKNOWN"', "return False", "outcome_unknown"),
    Mutation(
        "an answer that is cut is taken",
        TRANSPORT,
        "    if answer.length:\n        raise http.client.IncompleteRead(b\"\", answer.length)\n",
        "",
        "cut_leaves_no_connection",
    ),
    Mutation("the timeout is per read", TRANSPORT, "        if left <= 0:\n            raise TimeoutError\n        self._sock.settimeout(left)\n", "", "drip"),
    Mutation("a broken connection is kept", TRANSPORT, "            raise AttemptFailed(_words(error)) from error", "            self._keep(connection or self._connect(1.0))\n            raise AttemptFailed(_words(error)) from error", "cut_leaves_no_connection"),
    Mutation("an idle connection is used though it is closed", TRANSPORT, "and sock is not None and not _readable(sock)", "and sock is not None", "closed_is_not_used"),
    Mutation("a child of a fork has its parent's connections", TRANSPORT, "        self._lock = threading.Lock()\n        self._idle = []\n", "", "fork_does_not_share"),
    Mutation("the key is shown", TRANSPORT, "api_key: str = field(repr=False)", "api_key: str", "key_is_not_shown"),
    Mutation("numbers are floats", JSON, "return number if float.__repr__(number) == text else Number(text)", "return number", "written_as_it_was_read"),
    Mutation("what waits for itself is written for ever", JSON, "        elif id(value) in self.path:\n", "        elif False:\n", "refused_with_its_place"),
    Mutation("a 429 of the wait fails it", WAIT, "            if error.status == 429:\n", "            if error.status == 429:\n                raise\n", "list:throttled_polls"),
    Mutation("a wait does not poll where it is cut again and again", WAIT, "polling = cuts >= 2", "polling = False", "list:cut_again_and_again"),
    Mutation("a route that is off fails the wait", WAIT, "            if error.status != 404:\n                raise\n", "            raise\n", "list:route_is_off"),
    Mutation("a wait that is not held makes a storm", WAIT, "pause(max(result.retry_after or 0.0, next(between)))", "pause(0.0)", "list:no_storm"),
    Mutation("a bug of the service fails the wait", WAIT, "            if error.status < 500:\n", "            if True:\n", "list:meets_a_bug"),
    Mutation("polls are not conditional", WAIT, "if_none_match=last.etag if last else None", "if_none_match=None", "list:conditional"),
    Mutation("the job waits for the service", RUN, "reporter.started.wait(options.start_timeout)", "reporter.started.wait()", "list:away_at_the_start"),
    Mutation("a service that is away stops the job", RUN, "if options.required and self._state.attempt is None:", "if self._state.attempt is None:", "away_stops_no_job"),
    Mutation("an end is reported once only", REPORTER, "attempts=1_000_000_000, deadline", "attempts=1, deadline", "list:away_at_the_end"),
    Mutation("the time for reports does not end", REPORTER, "                if close_by is not None and until >= close_by:\n                    raise Closed\n", "", "away_stops_no_job"),
    Mutation("an end does not speak for its attempt", REPORTER, 'body: dict[str, Any] = {"status": end.status, **self._attempt(), **fields}', 'body: dict[str, Any] = {"status": end.status, **fields}', "list:took_over_unseen"),
    Mutation("fields that wait are lost at the end", REPORTER, '**self._attempt(), **fields}\n        for name', '**self._attempt()}\n        for name', "list:go_with_the_end"),
    Mutation("a result that another has beaten is written all the same", REPORTER, "        if state.lost is not None:\n", "        if state.lost is not None and state.attempt is None:\n", "told_once_and_raises_nothing"),
    Mutation("an output that is too large loses the end", REPORTER, "            if error.status == 413 or (error.status == 422 and error.error_code is None):\n", "            if error.status == 499:\n", "list:too_large_does_not_lose"),
    Mutation("a refused report ends the reporting", REPORTER, '            self._refused(error, "fields")\n', "            raise\n", "fields_that_are_refused"),
    Mutation("a bug of the reporter hangs the job", REPORTER, "            self.started.set()\n            self.done.set()\n            with self.changed:", "            with self.changed:", "bug_in_the_reporter"),
    Mutation("a child of a fork reports", REPORTER, "return os.getpid() != self._pid", "return False", "child_of_a_fork"),
    Mutation("its own end is an order to stop", REPORTER, "            if self._ending:\n", "            if False:\n", "lost_is_no_stop"),
    Mutation("late runs have no duration", REPORTER, "        if self.late or state.attempt is None:\n", "        if False:\n", "list:comes_late_has_its_duration"),
    Mutation("a step whose outcome is unknown is forgotten", REPORTER, 'if outcome.get("outcome") == "unknown":', 'if outcome.get("outcome") == "never":', "outcome_is_unknown"),
    Mutation("one bad step loses the others", REPORTER, "if error.status in (413, 422) and len(batch) > 1:", "if error.status == 499:", "one_bad_step"),
    Mutation("KeyboardInterrupt is a failure", ENDING, "(asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ExecutionCancelled)", "(asyncio.CancelledError, GeneratorExit, ExecutionCancelled)", "every_way_out"),
    Mutation("a cancelled task is a failure", ENDING, "(asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ExecutionCancelled)", "(KeyboardInterrupt, GeneratorExit, ExecutionCancelled)", "task_that_is_cancelled"),
    Mutation("an exit with zero is a failure", ENDING, "if code is None or code == 0:", "if code is None:", "every_way_out"),
    Mutation("a block that leaves for a cancel is completed", RUN, '            end = End("cancelled", self._state.reason)\n', "            pass\n", "leaves_for_it_is_cancelled"),
    Mutation("a block that did not look is cancelled", RUN, "if error is None and self._state.cancelled and self._cancel_seen and", "if error is None and self._state.cancelled and", "did_not_look"),
    Mutation("strict raises over the job's own exception", RUN, "if options.strict and error is None and", "if options.strict and", "not_over_the_job_s_own"),
    Mutation("a lost claim enters", RUN, "                raise self._not_owner(execution_id, error) from error\n", "                return\n", "of_many_workers"),
    Mutation("an interrupt while entering leaves it running", RUN, "            reporter.close(end_of(error), 2.0)\n            raise\n", "            raise\n", "interrupt_while_entering"),
    Mutation("a silent service stops the heartbeats", BEATS, "        except Unavailable:\n            return min(self._interval(), _SOON)\n", "        except Unavailable:\n            self._stopped = True\n            return 0.0\n", "list:heartbeats_survive_a_service"),
    Mutation("a refused heartbeat is an order to stop", BEATS, "                self._complained = True\n", "                self._complained = True\n                self._told('stop', 'refused', None)\n", "list:heartbeats_survive_refusals"),
    Mutation("heartbeats come when they like", BEATS, "            self._asked = float(seconds)\n", "            pass\n", "as_often_as_the_service_asks"),
    Mutation("a cancel is not passed on", BEATS, 'if action not in ("cancel", "stop"):', 'if action != "stop":', "list:cancel_is_seen"),
    Mutation("a task that is cancelled while it enters leaves it running", AIO, "            self.run.abandon(error)\n", "", "while_it_enters"),
    Mutation("an end is not awaited by the program's", AIO, "in_thread(lambda: self.run.finish(error), awaited_at_exit=True)", "asyncio.sleep(0)", "task_that_is_cancelled"),
    Mutation("what a step is given has no bound", STEPS, "return plain if size <= limit else", "return plain if size >= 0 else", "data_of_a_step_is_bounded"),
    Mutation("arguments are recorded unasked", FLOW, 'options.pop("record_arguments", False)', 'options.pop("record_arguments", True)', "each_call_is_an_execution"),
    Mutation("tokens are counted twice", LANGCHAIN, "    if total:\n        return total\n    said", "    said", "tokens_are_counted_once"),
    Mutation("a callback's failure is the chain's", LANGCHAIN, '        except Exception:\n            logger.exception("ratchet: a callback failed")', "        except ZeroDivisionError:\n            pass", "handler_that_fails"),
]


def run(command: list[str], limit: float = LIMIT) -> bool:
    """Whether the command fails, or does not end within so many seconds."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "PYTHONDONTWRITEBYTECODE": "1"}
    # A group of its own: what hangs is a driver, and not the command that started it.
    with subprocess.Popen(
        command,
        cwd=COPY / "clients" / "python",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return True
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    # 5: pytest found no test of that name.
    if code == 5:
        sys.exit(f"no test is named so: {command}")
    return code != 0


def pytest(*arguments: str) -> list[str]:
    return [str(PYTHON), "-m", "pytest", "-q", "-x", "--no-header", *arguments]


def conformance(only: str) -> list[str]:
    harness = COPY / "clients" / "conformance" / "run.py"
    return [sys.executable, str(harness), *(["--only", only] if only else []), "--", sys.executable, "tests/driver.py"]


def nearest(name: str) -> list[str]:
    """Only the files that have such a test: to import langchain-core takes longer than most tests."""
    tests = COPY / "clients" / "python" / "tests"
    files = [str(file) for file in tests.glob("test_*.py") if re.search(rf"def test_\w*{name}", file.read_text(encoding="utf-8"))]
    return pytest(*files, "-k", name)


def near(mutation: Mutation) -> list[str]:
    """The tests that are nearest to a mutation."""
    return conformance(mutation.near[5:]) if mutation.near.startswith("list:") else nearest(mutation.near)


def find(mutation: Mutation, limit: float) -> str | None:
    """What finds a mutation. The nearest tests take no longer than `limit` seconds where nothing is broken."""
    if run(near(mutation), limit):
        return mutation.near
    if run(pytest()):
        return "the other tests"
    return "the list" if run(conformance("")) else None


def main() -> None:
    numbers = selected(MUTATIONS, __doc__ or "")
    if not numbers:
        return
    if not all_apply(MUTATIONS, ROOT / "clients" / "python" / "src" / "ratchet"):
        sys.exit(1)
    shutil.rmtree(COPY, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", "target", "rust")
    shutil.copytree(ROOT / "clients", COPY / "clients", ignore=ignore)
    missed = 0
    for number in numbers:
        mutation = MUTATIONS[number - 1]
        file = COPY / "clients" / "python" / "src" / "ratchet" / mutation.file
        original = file.read_text(encoding="utf-8")
        # A test that fails as it is would find everything; and how long it takes tells what hangs.
        begun = time.monotonic()
        if run(near(mutation)):
            missed += 1
            print(f"FAILED {number} {mutation.near} fails without it: {mutation.what}", flush=True)
            continue
        limit = 15 + 10 * (time.monotonic() - begun)
        file.write_text(original.replace(mutation.old, mutation.new), encoding="utf-8")
        found = find(mutation, limit)
        file.write_text(original, encoding="utf-8")
        missed += found is None
        result = f"ok {number} found by {found}" if found else f"FAILED {number} is not found"
        print(f"{result}: {mutation.what} ({time.monotonic() - begun:.0f} s)", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
