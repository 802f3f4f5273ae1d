import pytest

from minisam.build import CONFIGS, build_from_config
from minisam.train.optimizer import build_optimizer, has_weight_decay, layer_of, set_learning_rate


@pytest.fixture(scope="module")
def nano():
    return build_from_config(CONFIGS["nano"])


def test_every_parameter_is_in_one_group(nano):
    optimizer = build_optimizer(nano, 1e-3, 0.1, 0.8, depth=4)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in nano.parameters())


def test_layer_decay_follows_the_formula(nano):
    optimizer = build_optimizer(nano, 1e-3, 0.1, 0.8, depth=4)
    rate = {id(p): group["base_lr"] for group in optimizer.param_groups for p in group["params"]}
    expected = {
        "image_encoder.patch_embed.proj.weight": 0.8**5,
        "image_encoder.pos_embed": 0.8**5,
        "image_encoder.blocks.0.attn.qkv.weight": 0.8**4,
        "image_encoder.blocks.3.mlp.lin1.weight": 0.8,
        "image_encoder.neck.0.weight": 1.0,
        "mask_decoder.iou_token.weight": 1.0,
    }
    parameters = dict(nano.named_parameters())
    for name, factor in expected.items():
        assert rate[id(parameters[name])] == pytest.approx(1e-3 * factor)


def test_what_decays(nano):
    decays = {name: has_weight_decay(name, p) for name, p in nano.named_parameters()}
    assert decays["image_encoder.blocks.0.attn.qkv.weight"]
    assert decays["image_encoder.neck.2.weight"]
    for name in (
        "image_encoder.blocks.0.attn.qkv.bias",
        "image_encoder.blocks.0.norm1.weight",
        "image_encoder.blocks.0.attn.rel_pos_h",
        "image_encoder.pos_embed",
        "mask_decoder.mask_tokens.weight",
        "prompt_encoder.point_embeddings.0.weight",
        "prompt_encoder.not_a_point_embed.weight",
        "prompt_encoder.no_mask_embed.weight",
    ):
        assert not decays[name], name


def test_layer_of_reads_block_numbers_with_two_digits():
    assert layer_of("image_encoder.blocks.11.norm1.weight", depth=12) == 12


def test_learning_rate_warms_up_and_steps_down(nano):
    optimizer = build_optimizer(nano, 1e-3, 0.1, 1.0, depth=4)
    factors = [
        set_learning_rate(optimizer, step, 90, 10, (2 / 3, 0.96)) for step in (0, 4, 9, 59, 60, 86, 87)
    ]
    assert factors == pytest.approx([0.1, 0.5, 1, 1, 0.1, 0.1, 0.01])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-5)
