"""Speed and memory beside TRL 1.16.0, in one run: python benchmarks/run.py sft [--rows NAME ...] [--quick]

Every measurement is a process of its own (measure.py); the libraries alternate (peer, ours, peer, ours, ...), so that
a machine that slows down slows both. Prints one `BENCH {json}` line per row, and at the end a table, which it stores.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from assets import Assets, build
from compare import Found, judge
from rows import GROUPS, OURS, PEER, Row
from table import machine, store

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "WANDB_MODE": "disabled",
    "DO_NOT_TRACK": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


class Runner:
    """Runs measurements on chosen cores and keeps what they found, so that rows can share them."""

    def __init__(self, assets: Assets, cores: list[int], realtime: bool, rounds: int, quick: bool):
        self.assets, self.cores, self.realtime, self.rounds, self.quick = assets, cores, realtime, rounds, quick
        self.kept: dict[str, Found] = {}
        self.products = self.measured([str(HERE / "products.py")], cores=1)

    def measured(self, arguments: list[str], cores: int) -> dict[str, Any]:
        """What a script of this folder found."""
        return json.loads(self.execute([sys.executable, *arguments], cores)[1].rpartition("MEASURED ")[2])

    def execute(self, command: list[str], cores: int) -> tuple[float, str]:
        """Wall-clock seconds of a command, pinned to its cores, and what it printed."""
        pinned = ["taskset", "-c", ",".join(map(str, self.cores[:cores]))] if shutil.which("taskset") else []
        pinned += ["chrt", "-f", "5"] if self.realtime else []
        threads = {"OMP_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": str(cores > 1).lower()}
        start = time.perf_counter()
        done = subprocess.run(
            pinned + command,
            env=os.environ | VARIABLES | threads,
            cwd=self.assets.root,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return seconds, done.stdout

    def spec(self, row: Row, library: str, variant: str) -> dict[str, Any]:
        """What measure.py is told. `same` is `best`, with completions drawn by the same random numbers."""
        same = variant == "same"
        variant = "best" if same else variant
        options = dict(row.options(library, variant))
        if same or (self.quick and row.kind in ("train", "online")):
            options["max_steps"] = 2
        return {
            "kind": row.kind,
            "library": library,
            "method": row.method,
            "model": self.assets.model(row.model),
            "rows": self.assets.rows(row.rows),
            "count": 500 if self.quick else row.count,
            "onednn": variant == "best" and self.products["onednn_is_best"] and library in row.onednn,
            "ends": row.ends,
            "same_draws": same,
            "options": options,
        }

    def once(self, row: Row, library: str, variant: str) -> dict[str, Any]:
        """One measurement of one library."""
        if row.kind == "import":
            return {"seconds": self.execute([sys.executable, "-c", row.statement.format(library=library)], 1)[0]}
        if row.kind == "command":
            command = [str(Path(sys.executable).with_name(library)), *row.statement.split()]
            return {"seconds": self.execute(command, 1)[0]}
        return self.measured([str(HERE / "measure.py"), json.dumps(self.spec(row, library, variant))], row.cores)

    def measure(self, row: Row, variant: str) -> Found:
        """The measurements of one variant, the libraries alternating. A first start of a program only fills caches."""
        key = json.dumps([row.statement, *(self.spec(row, library, variant) for library in (PEER, OURS))])
        if key not in self.kept:
            found: Found = {PEER: [], OURS: []}
            for turn in range(-1 if row.statement else 0, 1 if variant == "same" else self.rounds):
                for library, results in found.items():
                    result = self.once(row, library, variant)
                    if turn >= 0:
                        results.append(result)
            self.kept[key] = found
        return self.kept[key]


def may_use_realtime() -> bool:
    """Whether this user may give processes real-time priority."""
    if not shutil.which("chrt"):
        return False
    return subprocess.run(["chrt", "-f", "5", "true"], capture_output=True).returncode == 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("group", choices=sorted(GROUPS))
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--rounds", type=int, help="measurements per library and variant; 3, or 1 with --quick")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps only: shows that it works, not how fast it is"
    )
    parser.add_argument(
        "--cores", type=int, nargs="+", help="cores to use, the quietest first; by default the last ones"
    )
    parser.add_argument("--no-realtime", action="store_true", help="never ask for real-time priority")
    parser.add_argument("--cache", type=Path, default=ROOT / ".nox" / "bench", help="where models and data are kept")
    parser.add_argument(
        "--output", type=Path, help="folder for the table as JSON and Markdown; by default in the cache"
    )
    args = parser.parse_args(arguments)
    known = [row.name for row in GROUPS[args.group]]
    unknown = sorted(set(args.rows or ()) - set(known))
    if unknown:
        parser.error(f"unknown rows {', '.join(unknown)}; known are {', '.join(known)}")
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.cores = args.cores or sorted(os.sched_getaffinity(0), reverse=True)
    return args


def main() -> int:
    args = parse()
    rows = [row for row in GROUPS[args.group] if not args.rows or row.name in args.rows]
    realtime = not args.no_realtime and may_use_realtime()
    runner = Runner(build(args.cache.resolve()), args.cores, realtime, args.rounds, args.quick)
    verdicts = []
    for row in rows:
        if row.cores > len(args.cores):
            print(f"{row.name} needs {row.cores} cores", file=sys.stderr)
            continue
        load = os.getloadavg()[0]
        found = {variant: runner.measure(row, variant) for variant in row.variants}
        if row.kind == "online":
            found["same"] = runner.measure(row, "same")
        verdicts.append(judge(row, found) | {"rounds": args.rounds, "load_before": round(load, 1)})
        print("BENCH " + json.dumps(verdicts[-1]), flush=True)
    about = machine() | {"cores": args.cores, "realtime": realtime, "quick": args.quick}
    about["products"] = runner.products
    print(store(verdicts, about, args.output or args.cache / "results", args.group))
    return 0 if all(verdict["passed"] for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
