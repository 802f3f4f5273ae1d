"""Wrong answers to lesson 5, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

NORM1 = 'normed = layer_norm(x, weights["norm1.weight"], weights["norm1.bias"], 1e-6)'
NORM2 = 'normed = layer_norm(x, weights["norm2.weight"], weights["norm2.bias"], 1e-6)'
ATTENDED = 'x = x + heads @ weights["attn.proj.weight"].T + weights["attn.proj.bias"]'
HIDDEN = 'hidden = gelu(normed @ weights["mlp.lin1.weight"].T + weights["mlp.lin1.bias"])'
RETURNED = 'return x + hidden @ weights["mlp.lin2.weight"].T + weights["mlp.lin2.bias"]'
ATTENTION = "heads = window_attention(qkv, qkv_bias, *tables"

POSITIONS = 'x = x.permute(0, 2, 3, 1) + weights["pos_embed"]'
GLOBAL = "is_global = (index + 1) % global_every == 0"
STREAM = 'x = x + linear(seen, layer, "attn.proj")'
PERCEPTRON = 'x = x + linear(F.gelu(linear(norm(x, layer, "norm2"), layer, "mlp.lin1")), layer, "mlp.lin2")'
NECK = 'x = F.conv2d(x.permute(0, 3, 1, 2), weights["neck.0.weight"])'
NECK_NORM = 'x = norm_2d(x, weights["neck.1.weight"], weights["neck.1.bias"])'
LAST_NORM = 'return norm_2d(x, weights["neck.3.weight"], weights["neck.3.bias"])'

AS_IMAGE = "as_image = pos_embed.permute(0, 3, 1, 2)"
INTERPOLATED = 'F.interpolate(as_image, size=(height, width), mode="bicubic")'
BACK = "resized.permute(0, 2, 3, 1)"

WRONG = {
    "block": [
        Mistake(
            "The stream does not go past attention: what attention says is to be added to x, not put in its place.",
            {ATTENDED: ATTENDED.replace("x + heads", "heads")},
        ),
        Mistake(
            "The stream does not go past the perceptron: what it says is to be added to x.",
            {RETURNED: RETURNED.replace("x + hidden", "hidden")},
        ),
        Mistake(
            "The norms come after the sums: that is the first transformer's order, and the decoder's. Here the "
            "stream itself is never normalised, only what a step reads of it.",
            {
                NORM1: "normed = x",
                ATTENDED: f"{ATTENDED}\n    {NORM1.replace('normed =', 'x =')}",
                NORM2: "normed = x",
                RETURNED: (f"{RETURNED.replace('return', 'x =')}\n    {NORM2.replace('normed =', 'return')}"),
            },
        ),
        Mistake(
            "The normalised tokens are added to, not the stream: x has to go on as it was.",
            {
                ATTENDED: ATTENDED.replace("x + heads", "normed + heads"),
                RETURNED: RETURNED.replace("x + hidden", "normed + hidden"),
            },
        ),
        Mistake(
            "The perceptron reads the x from before attention: the two steps come one after the other.",
            {NORM1: f"before = x\n    {NORM1}", NORM2: NORM2.replace("layer_norm(x", "layer_norm(before")},
        ),
        Mistake("Attention reads x without norm1.", {NORM1: "normed = x"}),
        Mistake("The perceptron reads x without norm2.", {NORM2: "normed = x"}),
        Mistake(
            "Both norms use norm1's weights; each has its own.",
            {NORM2: NORM2.replace("norm2", "norm1")},
        ),
        Mistake(
            "The norm's eps is 1e-5, torch's default. SAM's encoder has 1e-6, which shows where tokens hardly vary.",
            {NORM1: NORM1.replace("1e-6", "1e-5"), NORM2: NORM2.replace("1e-6", "1e-5")},
        ),
        Mistake(
            "ReLU instead of GELU: the decoder has ReLU, the encoder GELU.",
            {HIDDEN: HIDDEN.replace("gelu(", "np.maximum(0, ")},
        ),
        Mistake(
            "GELU's approximation with tanh; SAM has the exact one.",
            {
                HIDDEN: (
                    f"{HIDDEN.replace('gelu(', '(')}\n"
                    "    inner = 0.7978845608 * (hidden + 0.044715 * hidden**3)\n"
                    "    hidden = 0.5 * hidden * (1 + np.tanh(inner))"
                )
            },
        ),
        Mistake(
            "The grid was padded before the norm: the norm makes its bias of a padded zero, and the projection makes "
            "something else than qkv_bias of that. SAM normalises first, then pads.",
            {ATTENTION: ATTENTION.replace("qkv_bias", 'weights["norm1.bias"] @ qkv_weight.T + qkv_bias')},
        ),
        Mistake(
            "attn.proj is missing: a matrix mixes the heads before their answer is added to the stream.",
            {ATTENDED: "x = x + heads"},
        ),
        Mistake(
            "attn.proj's matrix is not transposed: a Linear layer multiplies by the transpose of its weight, "
            "[out, in].",
            {ATTENDED: ATTENDED.replace('"attn.proj.weight"].T', '"attn.proj.weight"]')},
        ),
        Mistake(
            "attn.proj's bias is missing.", {ATTENDED: ATTENDED.replace(' + weights["attn.proj.bias"]', "")}
        ),
        Mistake(
            "The normalised tokens are added to the attention's result. The residual is x as it came in.",
            {"x = x + heads @": "x = normed + heads @"},
        ),
    ],
    "image_encoder": [
        Mistake(
            "The absolute positions are missing: add pos_embed to the tokens before the first block.",
            {POSITIONS: "x = x.permute(0, 2, 3, 1)"},
        ),
        Mistake(
            "The absolute positions are multiplied; they are added.",
            {POSITIONS: POSITIONS.replace(" + ", " * ")},
        ),
        Mistake(
            "The first block is global, and then every so many. The global one comes last in each group: with "
            "groups of three, 2, 5, 8, 11.",
            {GLOBAL: "is_global = index % global_every == 0"},
        ),
        Mistake(
            "No block is global: nothing ever crosses a window's border.",
            {GLOBAL: "is_global = False"},
        ),
        Mistake("Every block is global; most of them attend within windows.", {GLOBAL: "is_global = True"}),
        Mistake(
            "All blocks use the first one's weights.",
            {'layer = part(weights, f"blocks.{index}.")': 'layer = part(weights, "blocks.0.")'},
        ),
        Mistake(
            "The blocks run from the last to the first.",
            {"for index in range(depth):": "for index in reversed(range(depth)):"},
        ),
        Mistake("The stream does not go past attention.", {STREAM: 'x = linear(seen, layer, "attn.proj")'}),
        Mistake("The stream does not go past the perceptron.", {PERCEPTRON: PERCEPTRON.replace("x + ", "")}),
        Mistake(
            "ReLU instead of GELU: the decoder has ReLU, the encoder GELU.",
            {PERCEPTRON: PERCEPTRON.replace("F.gelu", "F.relu")},
        ),
        Mistake(
            "There is a norm between the last block and the neck, as in a ViT. SAM's encoder has none.",
            {NECK: f"x = F.layer_norm(x, x.shape[-1:], eps=1e-6)\n    {NECK}"},
        ),
        Mistake("The neck's first norm is missing.", {f"    {NECK_NORM}\n": ""}),
        Mistake("The neck's last norm is missing.", {LAST_NORM: "return x"}),
        Mistake(
            "The neck's norms run over the places, not over the channels.",
            {
                "return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)": (
                    "return F.layer_norm(x, x.shape[2:], eps=1e-6) * weight[:, None, None] + bias[:, None, None]"
                )
            },
        ),
        Mistake(
            "The neck's 3 × 3 convolution has no padding, so the grid shrinks by two.",
            {'F.conv2d(x, weights["neck.2.weight"], padding=1)': 'F.conv2d(x, weights["neck.2.weight"])'},
        ),
        Mistake(
            "The embedding's channels come last; the decoder takes them first, [B, out_chans, grid, grid].",
            {LAST_NORM: f"{LAST_NORM}.permute(0, 2, 3, 1)"},
        ),
        Mistake(
            "GELU's approximation with tanh; SAM has the exact one.",
            {
                'F.gelu(linear(norm(x, layer, "norm2"), layer, "mlp.lin1"))': (
                    'F.gelu(linear(norm(x, layer, "norm2"), layer, "mlp.lin1"), approximate="tanh")'
                )
            },
        ),
    ],
    "resize_positions": [
        Mistake(
            "The bug is still there: a reshape to [1, C, H, W] cuts the numbers as they lie in memory, and mixes "
            "places with channels. The same reshape back undoes it only if nothing was resized in between. Use "
            "permute.",
            {
                AS_IMAGE: "_, H, W, C = pos_embed.shape\n    as_image = pos_embed.reshape(1, C, H, W)",
                BACK: "resized.reshape(1, height, width, C)",
            },
        ),
        Mistake(
            "The way there is mended, the way back still reshapes.",
            {BACK: "resized.reshape(1, height, width, -1)"},
        ),
        Mistake(
            "The way back is mended, the way there still reshapes.",
            {AS_IMAGE: "_, H, W, C = pos_embed.shape\n    as_image = pos_embed.reshape(1, C, H, W)"},
        ),
        Mistake(
            "Rows and columns are exchanged on the way.",
            {AS_IMAGE: "as_image = pos_embed.permute(0, 3, 2, 1)"},
        ),
        Mistake(
            "Height and width are exchanged: F.interpolate takes rows first, (height, width).",
            {INTERPOLATED: INTERPOLATED.replace("(height, width)", "(width, height)")},
        ),
        Mistake(
            "It is bilinear now; a well-known fine-tuned SAM did that. ViTDet, and minisam with it, resizes "
            "positions bicubically.",
            {INTERPOLATED: INTERPOLATED.replace("bicubic", "bilinear")},
        ),
        Mistake(
            "The corners are laid on the corners (align_corners=True); positions are the middles of patches.",
            {INTERPOLATED: INTERPOLATED.replace('"bicubic")', '"bicubic", align_corners=True)')},
        ),
        Mistake(
            "The nearest position is taken; interpolate between them.",
            {INTERPOLATED: INTERPOLATED.replace("bicubic", "nearest")},
        ),
        Mistake(
            "The image's antialiasing is switched on: positions are sampled as they are.",
            {INTERPOLATED: INTERPOLATED.replace('"bicubic")', '"bicubic", antialias=True)')},
        ),
        Mistake(
            "The positions of the top left corner are cut out. No error any more, but the middle of the small "
            "image now believes to be near the corner of a large one.",
            {INTERPOLATED: "as_image[:, :, :height, :width]"},
        ),
        Mistake(
            "The positions are averaged over blocks (mode area).",
            {INTERPOLATED: INTERPOLATED.replace("bicubic", "area")},
        ),
        Mistake(
            "The channels come first in the result; tokens have them last.",
            {BACK: "resized"},
        ),
        Mistake(
            "The positions are repeated and cut, not resized. Each lies at its share of the side, whatever the size.",
            {
                'F.interpolate(as_image, size=(height, width), mode="bicubic")': (
                    "as_image.repeat(1, 1, 4, 4)[:, :, :height, :width]"
                )
            },
        ),
    ],
}
