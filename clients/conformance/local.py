"""A `local` with an empty store of its own, for the conformance list and the tests of clients."""

import os
import re
import subprocess
import sys
import threading


def start_local(binary: str, *keys: str) -> tuple[subprocess.Popen[str], str, int]:
    """Starts it with these API keys, on a free port: the process, the host and the port."""
    environment = {k: v for k, v in os.environ.items() if k not in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL", "RATCHET_TABLE")}
    process = subprocess.Popen(
        [binary, "--port", "0", *(argument for key in keys for argument in ("--api-key", key))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdout
    for line in process.stdout:
        if found := re.match(r"Ratchet listens on http://([\d.]+):(\d+)", line):
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, found[1], int(found[2])
    sys.exit(f"{binary} does not start")
