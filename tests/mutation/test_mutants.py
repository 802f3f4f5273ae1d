"""The edits are what they are called, and every listed mutant is noticed by the test that it names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mutation.covering import those_that_run
from mutation.edits import Mutant, mutants_of
from mutation.nearest import nearest_tests

RUNNER = Path(__file__).parent
ROOT = RUNNER.parents[1]
LIST = json.loads((RUNNER / "mutants.json").read_text(encoding="utf-8"))


def after(line: str) -> list[str]:
    return [mutant.after for mutant in mutants_of("x.py", f"def f():\n    {line}\n")]


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("a < b", ["a <= b"]),
        ("a not in b", ["a in b"]),
        ("a + b", ["a - b"]),
        ("a and b", ["a or b"]),
        ("not a", ["a"]),
        ("a(7)", ["a(8)"]),
        ("a(0.5)", ["a(0.25)"]),
        ("a = True", ["a = False"]),
        ("a.sum(dim=-1)", ["a.mean(dim=-1)", "a.sum(dim=-2)"]),
        ("a.clamp(b)", ["a"]),
        ("self.dropout(a)", ["a"]),
        ("f(a, antialias=b)", ["f(a)"]),
        ("max(a)", ["min(a)"]),
        ("return a, b", ["return b, a"]),
        ("a[:b]", ["a[:b + 1]"]),
        ("raise E(a + b)", []),
        ('f"{a + b}"', []),
        ("π(a) < b", ["π(a) <= b"]),
    ],
)
def test_edits(line, edited):
    assert after(line) == edited


def test_a_guard_is_switched_off():
    source = "def f(a):\n    if a:\n        raise E\n"
    assert mutants_of("x.py", source) == [Mutant("x.py", "f", "if a:", "if False:")]


def test_a_line_that_is_there_twice_is_found_by_its_function():
    source = "def f(a):\n    return a < 1\n\n\ndef g(a):\n    return a < 1\n"
    first, second = (Mutant("x.py", name, "return a < 1", "return a <= 1").apply(source) for name in "fg")
    assert first.index("<=") < source.index("g") < second.index("<=")


@pytest.mark.parametrize("function", ["", "h"])
def test_a_line_that_is_not_there_is_refused(function):
    with pytest.raises(ValueError, match=r"0 times|no h"):
        Mutant("x.py", function, "return b", "return c").apply("def f(a):\n    return a\n")


def test_the_nearest_tests_come_first_and_there_are_some_for_what_is_only_used_by_others():
    assert nearest_tests("train/losses.py")[0] == "tests/train/test_losses.py"
    assert "tests/evaluate/test_edge_map.py" in nearest_tests("evaluate/edge_thinning.py")
    assert nearest_tests("web/routes.py") == ["tests/web/test_server.py"]
    arrive = ["tests/cli/test_options_arrive.py", "tests/cli/test_other_options_arrive.py"]
    assert nearest_tests("cli/eval_sources.py") == arrive
    assert nearest_tests("cli/adapt.py") == ["tests/cli/test_adapt.py", *arrive]
    assert set(arrive) < set(nearest_tests("cli/pretrain.py"))


def test_every_module_has_nearest_tests():
    modules = [str(path.relative_to(ROOT / "minisam")) for path in (ROOT / "minisam").rglob("*.py")]
    assert [module for module in modules if not nearest_tests(module)] == []
    assert nearest_tests("__main__.py") == ["tests/cli/test_shared_options.py"]
    assert nearest_tests("segment_anything/utils/onnx.py") == ["tests/compatibility/test_alias.py"]


def test_the_tests_that_run_a_line():
    by_line = {1: [""], 2: ["", "a.py::one|run"], 3: ["a.py::one|setup", "a.py::one|run", "b.py::two[|]|run"]}
    assert those_that_run(by_line, 2) == ["a.py::one"]
    assert those_that_run(by_line, 3) == those_that_run(by_line, 1) == ["a.py::one", "b.py::two[|]"]


def test_every_entry_says_what_notices_it_or_why_nothing_can():
    places = [(entry["file"], entry["function"], entry["before"], entry["after"]) for entry in LIST]
    assert len(set(places)) == len(places)
    for entry in LIST:
        assert ("killed_by" in entry) != ("equivalent" in entry)
        assert Path(entry.get("killed_by", __file__).split("::")[0]).suffix == ".py"


def test_every_listed_line_and_the_test_that_notices_it_are_there():
    missing = []
    for entry in LIST:
        mutant = Mutant(*(entry[key] for key in ("file", "function", "before", "after")))
        try:
            mutant.apply((ROOT / "minisam" / mutant.file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            missing.append(f"{mutant.file}: {error}")
        path, _, test = entry.get("killed_by", "").partition("::")
        name = test.partition("[")[0].rpartition("::")[2]
        if path and not ((ROOT / path).is_file() and f"def {name}(" in (ROOT / path).read_text("utf-8")):
            missing.append(f"{path}: no {name}")
    assert not missing


@pytest.mark.ci
def test_a_wrong_line_is_noticed_by_a_test_that_passes_without_it():
    """With Hypothesis, which would keep an example of it."""
    command = [sys.executable, RUNNER, "--only", "text/contrastive_loss.py", "--count", "1", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("1 mutants, 0 survived\n"), done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_every_listed_mutant_is_there_and_is_noticed():
    done = subprocess.run([sys.executable, RUNNER, "--recheck"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
