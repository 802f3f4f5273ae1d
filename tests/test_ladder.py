"""Folder = role, file name = component: what has one name in every folder stays complete."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from kernel_operations import OPERATIONS as TESTED

from minisam_kernels.case_sizes import SIZES
from minisam_kernels.dense import OPERATIONS as FORMULAS

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "kernels" / "minisam_kernels"
REFERENCE = KERNELS / "reference"
COMPONENTS = sorted(path.stem for path in REFERENCE.glob("[!_]*.py"))
# The Triton kernels: a component's file beside reference/ has a function of its name.
OPERATIONS = sorted(name for name in COMPONENTS if (KERNELS / f"{name}.py").is_file())
# Components that PyTorch includes or that are a step of a larger box: their file in minisam/model/, or in the
# folder of minisam/ that is named.
PART_OF = {
    "absorbed_cross_attention": "model/fast/absorbed_two_way_transformer",
    "bilinear_steps": "predict/everything/bilinear_bands",
    "cross_attention": "attention",
    "gelu": "prompt_encoder",
    "image_to_token": "model/fast/absorbed_two_way_transformer",
    "layer_norm": "two_way_transformer",
    "mask_bits": "predict/everything/kernel_masks",
    "mask_encoding": "prompt_encoder",
    "mask_statistics": "predict/everything/upscaled_parts",
    "point_encoding": "prompt_encoder",
    "softmax": "attention",
    "token_to_image": "model/fast/absorbed_two_way_transformer",
}


def imported_modules(path: Path) -> set[str]:
    """The dotted names that a Python file imports, wherever in the file it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported_modules(path)}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_the_components_are_all_found():
    assert {"attention", "patch_embed", "rel_pos_attention", "two_way_transformer"} <= set(COMPONENTS)
    assert set(PART_OF) <= set(COMPONENTS)


@pytest.mark.parametrize("component", COMPONENTS)
def test_reference_has_a_module_and_both_have_tests(component):
    place = PART_OF.get(component, component)
    folder, _, home = place.rpartition("/") if "/" in place else ("model", "", place)
    assert (ROOT / "minisam" / folder / f"{home}.py").is_file()
    own_test = ROOT / "tests" / "kernels" / f"test_{component}.py"
    model_test = ROOT / "tests" / folder / f"test_{home}.py"
    assert f"minisam_kernels.reference.{component}" in imported_modules(own_test)
    assert f"minisam.{folder}.{home}".replace("/", ".") in imported_modules(model_test)
    assert any(name.startswith("minisam_kernels.reference.") for name in imported_modules(model_test))


def test_the_readme_says_which_components_have_one_name_in_every_folder():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    listed = text.partition("This holds for ")[2].partition(";")[0].replace(" and ", ", ").split(", ")
    assert sorted(listed) == sorted(set(COMPONENTS) - set(PART_OF))


def test_no_file_is_longer_than_one_sitting():
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in python_files("minisam")}
    assert not {path: lines for path, lines in lengths.items() if lines > 250}
    assert 60 <= sorted(lengths.values())[len(lengths) // 2] <= 120


@pytest.mark.parametrize("component", COMPONENTS)
def test_reference_is_numpy_alone_defines_its_name_and_is_in_the_index(component):
    path = REFERENCE / f"{component}.py"
    assert packages(path) - sys.stdlib_module_names <= {"numpy", "minisam_kernels"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert component in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    docstring = ast.get_docstring(tree) or ""
    assert "Symbols" in docstring and "Source" in docstring
    index = (ROOT / "kernels" / "README.md").read_text(encoding="utf-8")
    assert f"minisam_kernels/reference/{component}.py" in index
    assert f"tests/kernels/test_{component}.py" in index


@pytest.mark.parametrize("operation", OPERATIONS)
def test_kernel_has_its_function_its_ladder_its_cases_its_tests_and_its_mutants(operation):
    tree = ast.parse((KERNELS / f"{operation}.py").read_text(encoding="utf-8"))
    assert operation in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    docstring = ast.get_docstring(tree) or ""
    assert all(word in docstring for word in ("Bytes", "Symbols", "Ladder"))
    assert operation in SIZES and operation in FORMULAS and operation in TESTED
    assert (ROOT / "tests" / "kernels" / "triton" / "mutants" / f"{operation}.py").is_file()


def test_every_kernel_says_first_what_one_program_owns():
    for path in sorted(KERNELS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_kernel"):
                assert (ast.get_docstring(node) or "").startswith("One program owns"), node.name


def test_the_kernels_are_all_found():
    assert {"softmax", "attention", "cross_attention", "rel_pos_attention"} <= set(OPERATIONS)
    assert set(TESTED) == set(OPERATIONS)


def test_dependencies_point_one_way():
    for path in python_files("minisam/model"):
        assert not packages(path) & {"triton", "minisam_kernels"}, path
    for path in python_files("kernels/minisam_kernels"):
        assert "minisam" not in packages(path), path


def test_the_folder_kernels_is_not_a_package():
    """Hugging Face's `kernels` owns that import name, and transformers looks for it."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    spec = importlib.util.find_spec("kernels")
    assert spec is None or spec.origin is None or ROOT not in Path(spec.origin).resolve().parents


def test_no_file_is_named_after_nothing():
    found = python_files("minisam", "kernels", "tests", "lessons")
    assert not [path for path in found if path.stem in {"util", "utils"}]
