"""Every import that code written for segment-anything can have, with minisam under that name."""

from __future__ import annotations

import importlib
import pickle

import pytest
from compatibility.alias import segment_anything  # noqa: F401
from compatibility.surface import MODULES, own_definitions, theirs

import minisam
import minisam.utils.amg
import minisam.utils.onnx
import minisam.utils.transforms
from minisam import segment_anything as package

pytestmark = pytest.mark.usefixtures("segment_anything")


@pytest.mark.parametrize("module", ["modeling", "utils", *MODULES])
def test_module(module):
    imported = importlib.import_module(f"segment_anything.{module}")
    ours = importlib.import_module(f"minisam.segment_anything.{module}")
    assert imported.__file__ == ours.__file__ and "minisam" in imported.__file__
    for name in imported.__all__:
        assert getattr(imported, name) is getattr(ours, name) or module in ("modeling", "utils")
    if module in MODULES:
        private = {"_build_sam"}
        assert {name for name, _ in own_definitions(module)} - private <= set(imported.__all__)
        mentioned = {name for name, value in vars(theirs(module)).items() if is_theirs(value)}
        assert mentioned - private <= set(imported.__all__), (
            "names that a module of the original only imports"
        )


def is_theirs(value: object) -> bool:
    return str(getattr(value, "__module__", "")).startswith("segment_anything.") and hasattr(
        value, "__name__"
    )


def test_what_the_package_itself_hands_on():
    from segment_anything import (
        SamAutomaticMaskGenerator,
        SamPredictor,
        build_sam,
        build_sam_vit_b,
        build_sam_vit_h,
        build_sam_vit_l,
        sam_model_registry,
    )

    assert SamPredictor is minisam.SamPredictor
    assert SamAutomaticMaskGenerator is minisam.SamAutomaticMaskGenerator
    assert sam_model_registry is minisam.sam_model_registry
    assert callable(build_sam)
    built = build_sam_vit_b, build_sam_vit_h, build_sam_vit_l
    assert built == (minisam.build_sam_vit_b, minisam.build_sam_vit_h, minisam.build_sam_vit_l)


def test_submodules_are_attributes_after_a_plain_import():
    import segment_anything as sam

    assert sam.utils.transforms.ResizeLongestSide is minisam.utils.transforms.ResizeLongestSide
    assert sam.utils.amg.MaskData is minisam.utils.amg.MaskData
    assert sam.modeling.Sam is sam.modeling.sam.Sam is minisam.Sam
    assert sam.predictor.SamPredictor is minisam.SamPredictor
    assert sam.modeling.transformer.TwoWayTransformer is sam.modeling.TwoWayTransformer


def test_utils_by_minisams_own_name():
    for module in ("amg", "onnx", "transforms"):
        ours = importlib.import_module(f"minisam.utils.{module}")
        for name, _ in own_definitions(f"utils.{module}"):
            assert getattr(ours, name) is getattr(
                importlib.import_module(f"segment_anything.utils.{module}"), name
            )


def test_builders_can_be_pickled():
    for build in package.sam_model_registry.values():
        assert pickle.loads(pickle.dumps(build)) is build
    assert pickle.loads(pickle.dumps(package.build_sam)) is package.build_sam
