#!/usr/bin/env bash
# The end-to-end suite: deploys the stack as tools/deploy-local.sh does, and drives it through API Gateway. Arguments go to
# pytest: tools/e2e.sh -k authorizer. The proof of least privilege is tools/least-privilege.sh.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-e2e.sh
exec .tools/e2e/bin/python -m pytest tests/e2e --ignore tests/e2e/test_least_privilege.py "$@"
