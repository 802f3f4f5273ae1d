"""Wrong answers to lesson 21, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

CUT = "cut.transpose(0, 2, 4, 3, 5, 1)"
MEAN = "mean = patches.mean(axis=-1, keepdims=True)"
VARIANCE = "variance = patches.var(axis=-1, keepdims=True, ddof=1)"
SCALED = "return (patches - mean) / np.sqrt(variance + 1e-6)"
ORDER = "order = noise.argsort(axis=1)"
KEEP = "keep = order[:, :kept]"
TAKEN = "return np.take_along_axis(tokens, keep[:, :, None], axis=1)"
RESTORE = "restore = noise.argsort(dim=1).argsort(dim=1)"
CLASS = "class_token, visible = encoded[:, :1], encoded[:, 1:]"
MISSING = "missing = mask_token.expand(len(noise), noise.shape[1] - visible.shape[1], -1)"
SHUFFLED = "shuffled = torch.cat([visible, missing], dim=1)"
PATCHES = "patches = shuffled.gather(1, restore[:, :, None].expand_as(shuffled)) + positions"
DECODED = "return torch.cat([class_token, patches], dim=1)"
WITHOUT_CLASS = "patches = pos_embed[:, 1:]"
AS_IMAGE = "as_image = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2)"
RESIZED = 'resized = F.interpolate(as_image, size=(height, width), mode="bicubic")'
CHANNELS_LAST = "return resized.permute(0, 2, 3, 1)"
VISIBLE = "visible = network(take(tokens + positions, order[:, :kept]))"
BACK = "patches = take(torch.cat([visible, missing], dim=1), restore) + positions"
HIDDEN = "hidden = restore >= kept"
LOSS = "return (error * hidden).sum(dim=1) / hidden.sum(dim=1)"

POSITIONS_LATE = {VISIBLE: "visible = network(take(tokens, order[:, :kept]) + positions[:kept])"}
WRONG_INDEX = {BACK: "patches = take(torch.cat([visible, missing], dim=1), order) + positions"}
ALL_PATCHES = {LOSS: "return error.mean(dim=1)"}

WRONG = {
    "patch_targets": [
        Mistake(
            "The pixels are there, patch by patch, in their own units. Every patch has to get mean 0 and variance 1.",
            {SCALED: "return patches"},
        ),
        Mistake(
            "The mean is gone, the contrast is still there: a strong patch would weigh more than a faint one.",
            {SCALED: "return patches - mean"},
        ),
        Mistake(
            "The variance is the mean square, divided by n. The original has the unbiased one, by n - 1.",
            {VARIANCE: "variance = patches.var(axis=-1, keepdims=True)"},
        ),
        Mistake(
            "Mean and variance are those of the whole image. Each patch has its own.",
            {
                MEAN: "mean = patches.mean(axis=(1, 2), keepdims=True)",
                VARIANCE: "variance = patches.var(axis=(1, 2), keepdims=True, ddof=1)",
            },
        ),
        Mistake(
            "Mean and variance of each pixel's place, over the patches. It has to be of each patch, over its pixels.",
            {
                MEAN: "mean = patches.mean(axis=1, keepdims=True)",
                VARIANCE: "variance = patches.var(axis=1, keepdims=True)",
            },
        ),
        Mistake(
            "Each channel of a patch has mean 0 here. One mean for all three: colour has to be learnt.",
            {MEAN: "mean = np.tile(patches.reshape(B, -1, P * P, 3).mean(axis=2), P * P)"},
        ),
        Mistake(
            "The 1e-6 is added to the standard deviation. It is added to the variance, under the root.",
            {SCALED: "return (patches - mean) / (np.sqrt(variance) + 1e-6)"},
        ),
        Mistake(
            "Divided by the variance; it is divided by its root.",
            {SCALED: "return (patches - mean) / (variance + 1e-6)"},
        ),
        Mistake(
            "The channel comes first in each patch. Here a patch is a list of pixels, three numbers each.",
            {CUT: "cut.transpose(0, 2, 4, 1, 3, 5)"},
        ),
        Mistake(
            "Two things at once: the channel comes first in each patch, and the variance is divided by n, not n - 1.",
            {
                CUT: "cut.transpose(0, 2, 4, 1, 3, 5)",
                VARIANCE: "variance = patches.var(axis=-1, keepdims=True)",
            },
        ),
        Mistake(
            "Inside the patches rows and columns are exchanged.",
            {CUT: "cut.transpose(0, 2, 4, 5, 3, 1)"},
        ),
        Mistake(
            "The patches go down the columns of the grid; they go along its rows.",
            {CUT: "cut.transpose(0, 4, 2, 3, 5, 1)"},
        ),
        Mistake(
            "These are not patches: the axes were never put in order, and what lies together in memory was cut.",
            {CUT: "cut"},
        ),
        Mistake(
            "Each colour has its own mean and variance. They are those of the whole patch.",
            {
                (
                    "mean = patches.mean(axis=-1, keepdims=True)\n"
                    "    variance = patches.var(axis=-1, keepdims=True, ddof=1)\n"
                    "    return (patches - mean) / np.sqrt(variance + 1e-6)"
                ): (
                    "colours = patches.reshape(B, -1, P * P, 3)\n"
                    "    deviation = colours - colours.mean(axis=2, keepdims=True)\n"
                    "    variance = colours.var(axis=2, keepdims=True, ddof=1)\n"
                    "    return (deviation / np.sqrt(variance + 1e-6)).reshape(patches.shape)"
                )
            },
        ),
    ],
    "visible_patches": [
        Mistake(
            "All tokens come back, shuffled. Only the first `kept` of them go into the encoder.",
            {KEEP: "keep = order"},
        ),
        Mistake(
            "Hidden tokens are set to zero and stay. They have to be gone: the encoder is cheap because it never sees "
            "them.",
            {
                TAKEN: "return np.where(order.argsort(axis=1)[:, :, None] < kept, tokens, np.zeros_like(tokens))"
            },
        ),
        Mistake(
            "These are the tokens with the most noise; the others were asked for.",
            {ORDER: "order = (-noise).argsort(axis=1)"},
        ),
        Mistake(
            "The least noise, but the largest of it first: the order is turned round.",
            {KEEP: "keep = order[:, :kept][:, ::-1]"},
        ),
        Mistake(
            "The right tokens, sorted back into reading order. The shuffle's order is needed to undo it later.",
            {KEEP: "keep = np.sort(order[:, :kept], axis=1)"},
        ),
        Mistake(
            "The end of the shuffle was kept, not its start.",
            {KEEP: "keep = order[:, -kept:]"},
        ),
        Mistake(
            "One shuffle serves all images. Each image has its own noise.",
            {ORDER: "order = np.broadcast_to(noise[:1].argsort(axis=1), noise.shape)"},
        ),
        Mistake(
            "argsort twice gives each token's rank. What is asked for is which token has rank 0, 1, 2 …: argsort once.",
            {ORDER: "order = noise.argsort(axis=1).argsort(axis=1)"},
        ),
        Mistake(
            "Always the first tokens: nothing is random, and the top of every picture is all that is ever seen.",
            {ORDER: "order = np.broadcast_to(np.arange(noise.shape[1]), noise.shape)"},
        ),
        Mistake(
            "Sorted across the images. Each image is sorted by itself, along its patches.",
            {ORDER: "order = noise.argsort(axis=0)"},
        ),
        Mistake(
            "The noise itself became an index: a draw with replacement, in which a patch may come twice.",
            {KEEP: "keep = (noise * noise.shape[1]).astype(int)[:, :kept]"},
        ),
    ],
    "decoder_input": [
        Mistake(
            "Put back by the shuffle itself. That shuffles once more; its inverse is asked for, the argsort of the "
            "argsort.",
            {RESTORE: "restore = noise.argsort(dim=1)"},
        ),
        Mistake(
            "Nothing was put back: the visible patches stand in front, each with somebody else's position.",
            {PATCHES: "patches = shuffled + positions"},
        ),
        Mistake(
            "Positions were added in the shuffled order, and then moved along. They belong to places: add them at the "
            "end.",
            {PATCHES: "patches = (shuffled + positions).gather(1, restore[:, :, None].expand_as(shuffled))"},
        ),
        Mistake(
            "No positions. All mask tokens are then the same, and the decoder cannot draw different patches for them.",
            {PATCHES: "patches = shuffled.gather(1, restore[:, :, None].expand_as(shuffled))"},
        ),
        Mistake(
            "Mask tokens got no positions. They need them most: they have nothing else.",
            {
                PATCHES: (
                    "patches = shuffled.gather(1, restore[:, :, None].expand_as(shuffled)) + "
                    "positions * (restore < visible.shape[1])[:, :, None]"
                )
            },
        ),
        Mistake(
            "Zeros stand where the mask token belongs. It is a learned vector, the same at every hidden place.",
            {
                MISSING: "missing = torch.zeros(len(noise), noise.shape[1] - visible.shape[1], len(mask_token))"
            },
        ),
        Mistake(
            "The mask tokens come first here. In the shuffle's order the visible patches do.",
            {SHUFFLED: "shuffled = torch.cat([missing, visible], dim=1)"},
        ),
        Mistake(
            "The class token is taken for the last token. It is the first.",
            {CLASS: "class_token, visible = encoded[:, -1:], encoded[:, :-1]"},
        ),
        Mistake(
            "The class token is gone. The decoder reads it, too: 1 + L tokens.",
            {DECODED: "return patches"},
        ),
        Mistake(
            "The class token got a position. It has no place in the image.",
            {DECODED: "return torch.cat([class_token + positions[:1], patches], dim=1)"},
        ),
        Mistake(
            "Restored for the shuffle by falling noise; the visible patches are those with the least.",
            {RESTORE: "restore = noise.argsort(dim=1, descending=True).argsort(dim=1)"},
        ),
    ],
    "sam_positions": [
        Mistake(
            "The class token's position is still there, and the last patch's is gone: everything has moved by one.",
            {WITHOUT_CLASS: "patches = pos_embed[:, :-1]"},
        ),
        Mistake(
            "Bilinear. ViTDet resizes positions bicubically, and so does every code that loads such weights.",
            {
                RESIZED: (
                    'resized = F.interpolate(as_image, size=(height, width), mode="bilinear", align_corners=False)'
                )
            },
        ),
        Mistake(
            "Nearest neighbour: several tokens get the same position, and cannot be told apart.",
            {RESIZED: 'resized = F.interpolate(as_image, size=(height, width), mode="nearest")'},
        ),
        Mistake(
            "With align_corners the outermost positions sit on the corners. Positions are those of patch middles.",
            {
                RESIZED: (
                    'resized = F.interpolate(as_image, size=(height, width), mode="bicubic", align_corners=True)'
                )
            },
        ),
        Mistake(
            "With antialias a smaller grid gets averages; positions are read off, not averaged.",
            {
                RESIZED: (
                    'resized = F.interpolate(as_image, size=(height, width), mode="bicubic", antialias=True)'
                )
            },
        ),
        Mistake(
            "Height and width are exchanged in the size.",
            {
                RESIZED: (
                    'resized = F.interpolate(as_image, size=(width, height), mode="bicubic").reshape('
                    "1, -1, height, width)"
                )
            },
        ),
        Mistake(
            "Rows and columns of the grid are exchanged.",
            {AS_IMAGE: "as_image = patches.unflatten(1, (side, side)).permute(0, 3, 2, 1)"},
        ),
        Mistake(
            "The channels were moved by a reshape, which moves nothing and mixes them with places. Permute.",
            {AS_IMAGE: "as_image = patches.reshape(1, -1, side, side)"},
        ),
        Mistake(
            "The channels come first; SAM's pos_embed has them last.",
            {CHANNELS_LAST: "return resized"},
        ),
        Mistake(
            "The channels were put last by a reshape, which mixes them with places. Permute.",
            {CHANNELS_LAST: "return resized.reshape(1, height, width, -1)"},
        ),
        Mistake(
            "A list of tokens; SAM keeps its positions as a grid, [1, height, width, C].",
            {CHANNELS_LAST: "return resized.permute(0, 2, 3, 1).flatten(1, 2)"},
        ),
        Mistake(
            "The grid was tiled, not resized: one place then has the position of another, far away.",
            {
                RESIZED: (
                    "resized = as_image.repeat(1, 1, height // side + 1, width // side + 1)[:, :, :height, :width]"
                )
            },
        ),
    ],
    "step_loss": [
        Mistake(
            "All three bugs are still there. Start at the first line that uses positions: whose are they?",
            {**POSITIONS_LATE, **WRONG_INDEX, **ALL_PATCHES},
        ),
        Mistake(
            "The loss is right now. Two bugs are left: positions that are added after masking are those of other "
            "patches, and a shuffle is not its own inverse.",
            {**POSITIONS_LATE, **WRONG_INDEX},
        ),
        Mistake(
            "The patches go back to their places now. Two bugs are left: positions that are added after masking, and a "
            "loss over patches that were visible.",
            {**POSITIONS_LATE, **ALL_PATCHES},
        ),
        Mistake(
            "Positions are right now. Two bugs are left: the index that puts patches back, and a loss over "
            "patches that were visible.",
            {**WRONG_INDEX, **ALL_PATCHES},
        ),
        Mistake(
            "One bug is left: positions are added after masking. The first visible patch gets position 0, wherever it "
            "came from.",
            POSITIONS_LATE,
        ),
        Mistake(
            "One bug is left: the shuffle itself does not put patches back. Its inverse does, its own argsort.",
            WRONG_INDEX,
        ),
        Mistake(
            "One bug is left: the loss is over all patches, and the visible ones can be copied.",
            ALL_PATCHES,
        ),
        Mistake(
            "The loss is over the visible patches: nothing but copying is learnt.",
            {HIDDEN: "hidden = restore < kept"},
        ),
        Mistake(
            "Which patches are hidden is read off the shuffle. Patch i is hidden where its rank is `kept` or more, and "
            "ranks are in the inverse.",
            {HIDDEN: "hidden = order >= kept"},
        ),
        Mistake(
            "The sum over hidden patches is divided by the number of all patches.",
            {LOSS: "return (error * hidden).mean(dim=1)"},
        ),
        Mistake(
            "Summed over the hidden patches; the loss is their mean.",
            {LOSS: "return (error * hidden).sum(dim=1)"},
        ),
        Mistake(
            "The decoder's positions are gone. They were right: mask tokens have nothing else to tell them apart.",
            {BACK: "patches = take(torch.cat([visible, missing], dim=1), restore)"},
        ),
        Mistake(
            "One number for the whole batch; each image has its own loss.",
            {LOSS: "return ((error * hidden).sum(dim=1) / hidden.sum(dim=1)).mean()"},
        ),
        Mistake(
            "One bug is left: the shuffle is not undone. Its inverse is the argsort of the order.",
            {"restore = order.argsort(dim=1)": "restore = order"},
        ),
    ],
}
