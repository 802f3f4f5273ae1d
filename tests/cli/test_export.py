import re

import pytest
import torch

from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config
from minisam.export import check


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    save_checkpoint(build_from_config(CONFIGS["nano"]), path, metadata={})
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "give what to export"),
        ("encoder --demo x", "give what to export"),
        ("encoder --return-single-mask", "is for a decoder"),
        ("encoder --precision fp16 -o encoder.pt2", "is for a part as .onnx"),
        ("--demo x --precision int8", "is for a part, not for --demo"),
        ("--demo x -o y.onnx", "is for a part, not for --demo"),
        ("--demo x --return-single-mask", "is for a part, not for --demo"),
        ("decoder -o decoder.pth", "use a name that ends in .onnx, .pt2"),
        ("decoder -o nodir/decoder.onnx", "there is no folder"),
        ("decoder -o -", "give it a name"),
    ],
)
def test_one_line_says_what_is_wrong(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minisam: ") and error.count("\n") == 1 and says in error
    assert not list(tmp_path.iterdir())


def test_the_weights_are_not_overwritten(weights, tmp_path):
    link = tmp_path / "weights.pt2"
    link.symlink_to(weights)
    before = weights.read_bytes()
    assert main(["export", "decoder", "--checkpoint", str(weights), "-o", str(link)]) == 2
    assert weights.read_bytes() == before


def test_a_file_is_written_after_its_results_were_compared(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minisam.export.program.to_program", lambda part, sam: b"a program")
    words = ["export", "decoder", "--checkpoint", str(weights), "-o", str(tmp_path / "decoder.pt2")]

    def by(factor):
        def run_of(content, part):
            assert content == b"a program"
            return lambda inputs: [output.numpy() * factor for output in part.module(*inputs)]

        return run_of

    monkeypatch.setattr(check, "run_by_torch", by(1.1))
    assert main(words) == 4
    error = capsys.readouterr().err
    assert "is not written" in error and error.count("\n") == 1 and not (tmp_path / "decoder.pt2").exists()
    monkeypatch.setattr(check, "run_by_torch", by(1.0))
    assert main(words) == 0
    assert (tmp_path / "decoder.pt2").read_bytes() == b"a program"
    assert "differ by at most 0.0e+00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind"), [("a.onnx", "onnx"), ("a.ONNX", "onnx"), ("a.pt2", "torch"), ("a.Pt2", "torch")]
)
def test_the_ending_in_any_case_chooses_the_format(name, kind, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("minisam.export.program.to_onnx", lambda part, sam: b"onnx")
    monkeypatch.setattr("minisam.export.program.to_program", lambda part, sam: b"torch")

    def run_of(content, part):
        return lambda inputs: [output.numpy() for output in part.module(*inputs)]

    monkeypatch.setattr(check, "run_by_onnxruntime", run_of)
    monkeypatch.setattr(check, "run_by_torch", run_of)
    assert main(["export", "decoder", "--checkpoint", str(weights), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes() == kind.encode()


def test_the_loss_of_smaller_numbers_is_printed(weights, tmp_path, capsys, monkeypatch):
    def run_of(content, part):
        def run(inputs):
            factor = {b"full": 1, b"half": -1}[content]
            return [output.numpy() * factor for output in part.module(*inputs)]

        return run

    monkeypatch.setattr("minisam.export.program.to_onnx", lambda part, sam: b"full")
    monkeypatch.setattr("minisam.export.precision.reduced", lambda content, precision: b"half")
    monkeypatch.setattr("minisam.export.loss.SCENES", 1)
    monkeypatch.setattr(check, "run_by_onnxruntime", run_of)
    out = tmp_path / "decoder.onnx"
    words = ["export", "decoder", "--checkpoint", str(weights), "-o", str(out), "--precision", "fp16"]
    assert main(words) == 0 and out.read_bytes() == b"half"
    found = re.search(
        r"drawn scenes: ([\d.]+), of the network ([\d.]+), loss (-?[\d.]+)", capsys.readouterr().out
    )
    assert found
    after, before, loss = map(float, found.groups())
    assert loss != 0 and abs(before - after - loss) < 2e-4
