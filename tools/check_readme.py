"""Does what README.md says: starts the server by its command, types its curl lines, compares the answers.

A ```sh block inside the walk (between the two `walk` comments) or between the two `one line` comments is run in one shell, so
that what one sets the next can use; the ```json or ```text block after it is what must come back. Ids, times and durations may
differ, nothing else. The line of a ```crontab block is run as cron does: by /bin/sh, with the variables above it and few others. A
```python block is run by the interpreter of a virtual environment, into which `pip install` of an earlier block installs.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
ADDRESS = "http://127.0.0.1:3000"
END = "--- end of a block ---"

MASKS = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"\b\d+\.\ds\b"), "<seconds>"),
    (re.compile(r'"duration_ms": ?\d+'), '"duration_ms":<number>'),
    (re.compile(r'("correlation_id": ?)"[0-9a-f]+"'), r'\1"<id>"'),
]


def masked(text: str) -> str:
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text


def comparable(kind: str, text: str) -> str:
    # The README breaks long answers into lines; the service does not.
    return masked(json.dumps(json.loads(text)) if kind == "json" else text.strip())


def of_cron(text: str) -> str:
    """The shell command that does what the lines of a crontab say, at once."""
    *variables, line = text.strip().splitlines()
    command = line.split(None, 5)[5]
    given = " ".join(shlex.quote(variable) for variable in variables)
    return f'env -i HOME="$HOME" PATH="$PATH" {given} /bin/sh -c {shlex.quote(command)}'


def of_python(text: str) -> str:
    """The shell command that runs a script."""
    return f"python -c {shlex.quote(text)}"


def blocks(readme: str) -> list[tuple[str, str, str]]:
    """What is run as (command, kind of the answer, answer)."""
    steps = []
    for part in re.findall(r"<!-- (one line|walk) -->(.*?)<!-- /\1 -->", readme, flags=re.DOTALL):
        found = re.findall(r"^```(\w+)\n(.*?)^```$", part[1], flags=re.MULTILINE | re.DOTALL)
        for index, (kind, text) in enumerate(found):
            if kind not in ("sh", "crontab", "python"):
                continue
            answer = found[index + 1] if index + 1 < len(found) else ("", "")
            expected = answer if answer[0] in ("json", "text") else ("", "")
            command = {"crontab": of_cron, "python": of_python}.get(kind, str)(text)
            steps.append((command, *expected))
    return steps


def wait_until_it_listens(server: subprocess.Popen) -> None:
    for _ in range(3000):
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}: is something else on port 3000?")
        try:
            urllib.request.urlopen(f"{ADDRESS}/openapi.json", timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    sys.exit("the server does not listen")


def main() -> None:
    readme = README.read_text(encoding="utf-8")
    command = "cargo run -p local"
    if f"\n{command}\n" not in readme:
        sys.exit(f"README.md does not say `{command}`")
    steps = blocks(readme)
    # Built first, so that ending the process ends the server and not cargo.
    subprocess.run(["cargo", "build", "-q", "-p", "local", "-p", "ratchet-cli"], cwd=README.parent, check=True)
    # Not installed: what is tried is this tree's. Python packages are, where nothing else is.
    venv = README.parent / "target" / "readme-venv"
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    path = f"{venv / 'bin'}{os.pathsep}{README.parent / 'target' / 'debug'}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(["target/debug/local"], cwd=README.parent, stdout=subprocess.DEVNULL)
    shell = subprocess.Popen(["bash", "-u"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=README.parent,
                             env=os.environ | {"PATH": path})
    failures = 0
    try:
        wait_until_it_listens(server)
        for text, kind, expected in steps:
            shell.stdin.write(f"{text}\necho; echo '{END}'\n")
            shell.stdin.flush()
            lines = []
            while (line := shell.stdout.readline()) and line.rstrip("\n") != END:
                lines.append(line)
            answer = "".join(lines)
            name = text.strip("' \n").splitlines()[-1]
            try:
                same = not kind or comparable(kind, answer) == comparable(kind, expected)
            except json.JSONDecodeError:
                same = False
            if same:
                print(f"ok {name}")
            else:
                failures += 1
                print(f"FAILED {name}\n  README: {comparable(kind, expected)}\n  answer: {masked(answer)}")
    finally:
        shell.terminate()
        server.terminate()
        server.wait()
    sys.exit(1 if failures or len(steps) < 5 else 0)


if __name__ == "__main__":
    main()
