import copy

import pytest
import torch
from torch import nn

from minisam.config import CONFIGS, build_from_config
from minisam.export.check import largest_difference, run_by_onnxruntime
from minisam.export.parts import part_of
from minisam.export.precision import reduced
from minisam.export.program import to_onnx


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_from_config(CONFIGS["nano"])


@pytest.mark.ci
def test_smaller_numbers_make_smaller_files_with_nearly_the_same_results(sam):
    pytest.importorskip("onnxscript", reason="pip install -e '.[export]' un-skips this")
    part = part_of(sam, "encoder")
    content = to_onnx(part, sam)
    for precision, size, most in (("fp16", 0.6, 0.02), ("int8", 0.5, 0.2)):
        smaller = reduced(content, precision)
        assert len(smaller) < size * len(content)
        assert 0 < largest_difference(run_by_onnxruntime(smaller, part), part, sam) < most


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_finds_the_linear_layers_to_quantise(sam):
    from torch.ao.quantization import quantize_dynamic

    encoder = sam.image_encoder
    layers = sum(isinstance(module, nn.Linear) for module in encoder.modules())
    smaller = quantize_dynamic(encoder, {nn.Linear})
    assert sum("quantized" in type(module).__module__ for module in smaller.modules()) >= layers > 10
    images = torch.randn(1, 3, encoder.img_size, encoder.img_size)
    with torch.no_grad():
        wanted, given = encoder(images), smaller(images)
    assert 0 < (given - wanted).abs().max() < 0.2 * wanted.abs().max()


@pytest.mark.filterwarnings("ignore")
def test_torchao_quantises_the_weights(sam):
    torchao = pytest.importorskip("torchao.quantization", reason="pip install torchao un-skips this")
    smaller = copy.deepcopy(sam.image_encoder)
    torchao.quantize_(smaller, torchao.Int8WeightOnlyConfig())
    images = torch.randn(1, 3, smaller.img_size, smaller.img_size)
    with torch.no_grad():
        wanted, given = sam.image_encoder(images), smaller(images)
    assert 0 < (given - wanted).abs().max() < 0.1 * wanted.abs().max()
