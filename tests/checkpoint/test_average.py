"""The average of checkpoints: every weight is the mean, and only equal networks are taken."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL, small_sam

from minisam.checkpoint import load_checkpoint, save_checkpoint
from minisam.checkpoint.average import average_checkpoints
from minisam.cli.main import main
from minisam.errors import CheckpointError


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        save_checkpoint(small_sam(seed), path)
    return paths


def test_every_weight_is_the_mean(files):
    found = average_checkpoints(files).state_dict()
    all_of_them = [load_checkpoint(path).state_dict() for path in files]
    for name, tensor in found.items():
        wanted = torch.stack([one[name].double() for one in all_of_them]).mean(0)
        torch.testing.assert_close(tensor.double(), wanted, rtol=1e-6, atol=1e-7)
    assert not torch.equal(
        found["mask_decoder.mask_tokens.weight"], all_of_them[0]["mask_decoder.mask_tokens.weight"]
    )


def test_one_network_is_its_own_average(files):
    alone, given = average_checkpoints(files[:1]).state_dict(), load_checkpoint(files[0]).state_dict()
    assert all(torch.equal(alone[name], given[name]) for name in given)


def test_other_geometry_and_other_pixel_statistics_are_refused(files, tmp_path):
    save_checkpoint(small_sam(config=replace(SMALL, encoder_depth=2)), tmp_path / "shallow.safetensors")
    greyer = small_sam()
    greyer.pixel_mean += 1
    save_checkpoint(greyer, tmp_path / "greyer.safetensors")
    for name in ("shallow", "greyer"):
        with pytest.raises(CheckpointError, match=rf"{name}.safetensors is another kind of network"):
            average_checkpoints([files[0], tmp_path / f"{name}.safetensors"])


def test_the_command_writes_the_average_in_half_the_size(files, tmp_path, capsys):
    out = tmp_path / "soup.safetensors"
    assert main(["convert", str(files[0]), str(out), "--average", *map(str, files[1:]), "--float16"]) == 0
    assert out.stat().st_size < 0.6 * files[0].stat().st_size
    wanted, found = average_checkpoints(files).state_dict(), load_checkpoint(out).state_dict()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-6)
    capsys.readouterr()
    for more, says in (
        ([str(out) + "2.pth", "--base", str(files[1])], "give one of them"),
        ([str(tmp_path / "folder"), "--float16"], "is a folder for transformers"),
    ):
        assert main(["convert", str(files[0]), *more, "--average", str(files[1])]) == 2
        assert says in capsys.readouterr().err
