from PIL import Image

from minisam.cli.main import main


def test_the_demo_needs_no_arguments_and_writes_one_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert "minisam_demo.png" in capsys.readouterr().out
    with Image.open(tmp_path / "minisam_demo.png") as figure:
        assert figure.size[0] > 1000 and len(figure.convert("RGB").getcolors(1 << 24)) > 1000
