"""Would the tests notice a wrong line in minisam?

    python tests/mutation --only train --count 40 --seed 0      mutants of minisam/train, drawn at random
    python tests/mutation --only train/losses.py                all mutants of a file
    python tests/mutation --recheck                             those of mutants.json, each by the test that it names
    python tests/mutation --count 40 --coverage .coverage       by all tests that run the line (covering.py)

Prints what survives the nearest tests; `-o FILE` writes every mutant with the test that killed it as JSON. A
survivor wants a test, or an entry of mutants.json that says why no test can tell it from the original.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from covering import covering_tests
from edits import Mutant, mutants_of
from nearest import ROOT, nearest_tests
from trial import trial

LIST = Path(__file__).with_name("mutants.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="folders or files of minisam/")
    parser.add_argument("--count", type=int, help="how many mutants, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--recheck", action="store_true", help="the mutants of mutants.json instead")
    parser.add_argument(
        "--coverage", type=Path, help="the tests that run the line, by this file, not the nearest"
    )
    parser.add_argument("-o", dest="output", type=Path, help="write the outcomes here as JSON")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    results = []
    for entries in recheck(arguments.only) if arguments.recheck else draw(arguments):
        results += entries
        if arguments.output:
            lines = [json.dumps(entry, ensure_ascii=False) for entry in results]
            arguments.output.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    alive = sum(not entry["killed_by"] for entry in results)
    print(f"{len(results)} mutants, {alive} survived")
    return 1 if alive else 0


def draw(arguments: argparse.Namespace) -> Iterator[list[dict]]:
    """File by file, the outcomes of mutants drawn at random, but for those that are known as equivalent."""
    known = [mutant for mutant, about in listed() if "equivalent" in about]
    mutants = []
    for path in sorted((ROOT / "minisam").rglob("*.py")):
        file = str(path.relative_to(ROOT / "minisam"))
        if file.startswith(tuple(arguments.only)):
            mutants += [mutant for mutant in mutants_of(file, path.read_text("utf-8")) if mutant not in known]
    if arguments.count is not None and arguments.count < len(mutants):
        mutants = random.Random(arguments.seed).sample(mutants, arguments.count)
    of_file = defaultdict(list)
    for mutant in mutants:
        of_file[mutant.file].append(mutant)
    slow: dict[str, list[str]] = {}
    for file in sorted(of_file):
        if arguments.coverage:
            path = ROOT / "minisam" / file
            for mutant in of_file[file]:
                line = mutant.line(path.read_text(encoding="utf-8"))
                yield outcomes(file, [mutant], covering_tests(arguments.coverage, path, line), slow)
        else:
            yield outcomes(file, of_file[file], nearest_tests(file), slow)


def outcomes(file: str, mutants: list[Mutant], tests: list[str], slow: dict[str, list[str]]) -> list[dict]:
    """What tests say to the mutants of a file; `slow` keeps the slow tests of each test file."""
    homes = list(dict.fromkeys(test.split("::")[0] for test in tests))
    print(f"{file}: {len(mutants)} mutants, {' '.join(homes) or 'no test'}", flush=True)
    for home in homes:
        if home not in slow:
            baseline = trial(None, [home])
            if baseline.killed_by:
                sys.exit(f"{baseline.killed_by} fails without a mutant")
            slow[home] = baseline.slow
    skip = {name for home in homes for name in slow[home]}
    entries = []
    for mutant in mutants:
        killed_by = trial(mutant, tests, skip).killed_by if tests else None
        entries.append(asdict(mutant) | {"killed_by": killed_by})
        if not killed_by:
            print(
                f"  survives in {mutant.function}:\n    - {mutant.before}\n    + {mutant.after}", flush=True
            )
    return entries


def recheck(only: list[str]) -> Iterator[list[dict]]:
    """The listed mutants, each with the one test that it names."""
    for mutant, about in listed():
        if mutant.file.startswith(tuple(only)) and "equivalent" not in about:
            killed_by = trial(mutant, [about["killed_by"]]).killed_by
            if not killed_by:
                print(f"{mutant.file}: {mutant.after!r} passes {about['killed_by']}", flush=True)
            yield [asdict(mutant) | {"killed_by": killed_by}]


def listed() -> list[tuple[Mutant, dict]]:
    """mutants.json. Raises ValueError for a line that is no longer there."""
    entries = []
    for entry in json.loads(LIST.read_text(encoding="utf-8")) if LIST.exists() else []:
        mutant = Mutant(**{key: entry.pop(key) for key in ("file", "function", "before", "after")})
        mutant.apply((ROOT / "minisam" / mutant.file).read_text(encoding="utf-8"))
        entries.append((mutant, entry))
    return entries


if __name__ == "__main__":
    sys.exit(main())
