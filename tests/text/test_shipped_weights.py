"""The included weights work with words: a caption finds its object, another's does not, and it helps a click."""

from minisam.cli.main import main
from minisam.data.images import save_image
from minisam.evaluate.targets import evaluation_scenes
from minisam.text.measure import mean_ious
from minisam.text.targets import draw_targets, scene_size
from minisam.text.text_sam import SHIPPED, load_text_sam
from minisam.text.text_sam_task import TextRecipe

RECIPE = TextRecipe()


def test_words_find_things_in_scenes_that_no_training_saw():
    model = load_text_sam()
    size = model.sam.image_encoder.img_size
    batches = evaluation_scenes("train", 32, scene_size(size), 11, object_scale=RECIPE.object_scale)
    found = mean_ious(
        model, (draw_targets(scenes, size, 8, 0, RECIPE.min_area, unique=True) for scenes in batches)
    )
    assert found["caption"] > found["random caption"] + 0.2
    assert found["image"] > found["caption"]
    assert found["caption + point"] > found["point"]


def test_they_are_what_segment_takes_for_words(tmp_path, capsys):
    (scenes,) = evaluation_scenes("train", 1, 128, 11)
    save_image(tmp_path / "scene.png", scenes.images[0].permute(1, 2, 0).numpy())
    assert main(["segment", str(tmp_path / "scene.png"), "--text", "red wheel"]) == 0
    assert "predicted IoU" in capsys.readouterr().out
    assert SHIPPED.stat().st_size < 16e6
