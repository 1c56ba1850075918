"""All benchmarks in one run: python -m tests.benchmarks

Each part is a module of this folder and runs in a process of its own, so that its peak memory can
be reported. --parts=nulls,start_up runs some of them; --json=FILE stores the results, and
--figure=FILE draws the growth of costs.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.results import Result, text

ROOT = Path(__file__).parents[2]
PARTS = "training patch_covariance nulls pipelines start_up many_seeds growth".split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="Some of " + ", ".join(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        parser.error(f"--parts must be some of {', '.join(PARTS)}. Received: {unknown[0]}")
    results_by_part, failed, begin = {}, [], time.monotonic()
    for number, part in enumerate(parts, 1):
        print(f"\n== {number} of {len(parts)}: {part} ==", flush=True)
        figure = arguments.figure if part == "growth" else None
        results = run(part, figure)
        failed += [] if results else [part]
        results_by_part[part] = [dataclasses.asdict(result) for result in results]
    minutes = (time.monotonic() - begin) / 60
    print(f"\n{minutes:.1f} min on {os.cpu_count()} cores")
    if arguments.json:
        arguments.json.write_text(json.dumps(results_by_part, indent=1) + "\n")
    return 1 if failed else 0


def run(part: str, figure: Path | None) -> list[Result]:
    """Runs a part, which prints its results as they come; returns them with its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.json"
        name = f"{__package__}.{part}"
        arguments = [f"--json={path}"]
        arguments += [f"--figure={figure.absolute()}"] if figure else []
        process = subprocess.Popen(
            [sys.executable, "-m", name, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            print(f"{part} failed: {said}", file=sys.stderr)
            return []
        results = [Result(**result) for result in json.loads(path.read_text())]
    peak = Result("peak memory of this part", usage.ru_maxrss / 1024, "MB")
    print(text([peak]), flush=True)
    return [*results, peak]


if __name__ == "__main__":
    sys.exit(main())
