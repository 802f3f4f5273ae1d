from PIL import Image

from minisam.cli.demo import prompts_for
from minisam.cli.main import main
from minisam.data.partworld import render_scenes


def test_the_demo_needs_no_arguments_and_writes_one_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert "minisam_demo.png" in capsys.readouterr().out
    with Image.open(tmp_path / "minisam_demo.png") as figure:
        assert figure.size[0] > 1000 and len(figure.convert("RGB").getcolors(1 << 24)) > 1000


def test_prompts_for_a_scene_name_one_part_and_not_its_neighbour():
    for seed in range(6):
        scene = render_scenes(seed, 1, object_scale=1.5)
        prompts = prompts_for(scene)
        labels, parent = scene.labels[0].long(), scene.parent[0]
        (x, y), (other_x, other_y) = prompts["two clicks"]["points"]
        part, other, whole = labels[1, y, x], labels[1, other_y, other_x], labels[0, y, x]
        assert part != other and parent[part] == parent[other] == whole
        assert scene.area[0, part] >= scene.area[0, other] and prompts["two clicks"]["labels"] == [1, 0]
        assert prompts["a click"] == {"points": [[x, y]], "labels": [1]}
        rows, columns = (labels[0] == whole).nonzero(as_tuple=True)
        assert prompts["a box"]["boxes"] == [[columns.min(), rows.min(), columns.max(), rows.max()]]
