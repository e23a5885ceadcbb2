"""Checks what `sam build` left in .aws-sam/build, function by function, and prints it as a table.

    python3 tools/check_build.py {arm64,x86_64}

Each function is one executable of the name bootstrap, for the architecture that was asked for; needs no glibc newer than
Amazon Linux 2023 has; answers a panic instead of dying of it; and fits, zipped, into the bound. Needs readelf (binutils).
"""

import hashlib
import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".aws-sam" / "build"

# Amazon Linux 2023's, which is what provided.al2023 runs on.
GLIBC = (2, 34)
# Bytes, of the package that Lambda gets. A cold start loads all of it.
MAX_ZIP = 4 * 1000 * 1000
MACHINES = {"arm64": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
# Landing pads, by which a panic unwinds, take 2.7% of these executables. Built to abort they keep those of the standard
# library alone, 0.1%.
MIN_LANDING_PADS = 0.01


def readelf(*arguments: str) -> str:
    return subprocess.run(["readelf", *arguments], check=True, capture_output=True, text=True).stdout


def zipped(path: Path) -> int:
    """The size of the package that `sam deploy` makes of a folder with this file."""
    package = BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return package.getbuffer().nbytes


def landing_pads(binary: Path) -> float:
    """The share of the exception tables in the executable's size."""
    found = re.search(r"\.gcc_except_table\s+PROGBITS\s+\S+\s+\S+\s+([0-9a-f]+)", readelf("-SW", str(binary)))
    return int(found[1], 16) / binary.stat().st_size if found else 0.0


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def main(architecture: str) -> int:
    if not (BUILD / "template.yaml").exists():
        print("check_build: nothing in .aws-sam/build: run tools/build.sh", file=sys.stderr)
        return 1
    # A folder for each function, by its logical id; layers and nested stacks there are none.
    declared = re.findall(
        r"^  (\w+):\n    Type: AWS::Serverless::Function$", (ROOT / "template.yaml").read_text(), re.M
    )
    problems = []
    print(f"   {'function':32} {'binary':>10} {'zip':>10} {'glibc':>6} {'pads':>6}  sha256")
    for function in declared:
        binary = BUILD / function / "bootstrap"
        if not binary.is_file():
            problems.append(f"{function}: no bootstrap was built")
            continue
        needed = re.findall(r"GLIBC_([0-9.]+)", readelf("-VW", str(binary)))
        newest = max(tuple(map(int, version.split("."))) for version in needed)
        size, pads = zipped(binary), landing_pads(binary)
        before = len(problems)
        if MACHINES[architecture] not in readelf("-hW", str(binary)):
            problems.append(f"{function}: is not built for {architecture}")
        if newest > GLIBC:
            problems.append(f"{function}: needs glibc {dotted(newest)}, Amazon Linux 2023 has {dotted(GLIBC)}")
        if size > MAX_ZIP:
            problems.append(f"{function}: {size:,} bytes zipped, more than {MAX_ZIP:,}")
        if pads < MIN_LANDING_PADS:
            problems.append(f"{function}: built to abort at a panic, without an answer or a line in the log")
        mark = "ok" if len(problems) == before else "!!"
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        print(
            f"{mark} {function:32} {binary.stat().st_size:>10,} {size:>10,} {dotted(newest):>6} {pads:>6.1%}  {digest}"
        )
    if not declared:
        problems.append("template.yaml declares no function")
    for problem in problems:
        print(f"check_build: {problem}", file=sys.stderr)
    if not problems:
        print(f"check_build: {len(declared)} functions as they must be, for {architecture}")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MACHINES:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
