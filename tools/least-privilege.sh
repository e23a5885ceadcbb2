#!/usr/bin/env bash
# The proof of least privilege: for each function of the deployed stack, its end-to-end checks pass with its own policy, fail
# with any one permission taken away, and its role is refused everything else. Prints the table of what is needed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-e2e.sh
exec .tools/e2e/bin/python -m pytest tests/e2e/test_least_privilege.py "$@"
