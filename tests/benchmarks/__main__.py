"""`make bench`: every benchmark of this folder, one after the other; a table on the terminal, JSON under build/bench.

python -m tests.benchmarks [NAME ...]      names as in bench_NAME.py; all of them without any
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "build" / "bench"


def main(wanted: list[str]) -> int:
    """Run the benchmarks; return how many failed."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(known)}")  # noqa: T201 - its output
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in wanted or known:
        print(f"\n== {name}", flush=True)  # noqa: T201 - its output
        command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", "--json", str(RESULTS / f"{name}.json")]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"\nresults: {RESULTS}" + (f"; failed: {', '.join(failed)}" if failed else ""))  # noqa: T201 - its output
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
