#!/usr/bin/env bash
# Installs cfn-lint, checkov and the SAM CLI, each into a virtual environment of its own under .tools/. Does nothing for an
# environment whose requirement file has not changed since.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup-venv.sh lint checkov sam
.tools/lint/bin/cfn-lint --version
echo "checkov $(.tools/checkov/bin/checkov --version)"
SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam --version
