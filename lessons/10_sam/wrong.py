"""Wrong answers to lesson 10, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

LONGEST = "longest = max(height, width)"
NEW = "int(side * size / longest + 0.5) for side"
SCALED = "return points * np.array([new_width / width, new_height / height], points.dtype)"
WHOLE = 'whole = F.interpolate(low_res, (size, size), mode="bilinear", align_corners=False)'
PART = "image_part = whole[:, :, :h, :w]"
BACK = 'return F.interpolate(image_part, (height, width), mode="bilinear", align_corners=False)'
READY = "ready = sam.preprocess(image)[None]"
CLICKS = "scaled = points * points.new_tensor([w / width, h / height])"
PROMPT = "sparse, dense = sam.prompt_encoder((scaled[None], labels[None]), None, None)"
POSITIONS = "image_pe = sam.prompt_encoder.get_dense_pe()"
DECODED = "low_res, iou = sam.mask_decoder(embedding, image_pe, sparse, dense, multimask_output=True)"
MASKS = "masks = postprocess(low_res, sam.image_encoder.img_size, h, w, height, width)"
ORDER = "best_first = iou[0].argsort(descending=True)"
OUT = "return masks[0, best_first]"
OWN_IMAGE = "own_image = np.repeat(embeddings, prompts, axis=0)"
TOGETHER = "return own_image + dense"

WRONG = {
    "scale_points": [
        Mistake(
            "One factor for both sides. The shorter side was rounded to whole pixels: its factor is new / old.",
            {SCALED: "return points * np.array(size / longest, points.dtype)"},
        ),
        Mistake(
            "The new sides are cut down to whole pixels, not rounded: + 0.5 is missing.",
            {NEW: "int(side * size / longest) for side"},
        ),
        Mistake(
            "Python's round takes a half to the nearest even number: 12.5 becomes 12. int(… + 0.5) makes 13 of it.",
            {NEW: "round(side * size / longest) for side"},
        ),
        Mistake(
            "The new sides are rounded up. int(… + 0.5) rounds to the nearest.",
            {NEW: "-int(-side * size // longest) for side"},
        ),
        Mistake(
            "Both sides become `size`: the image is squashed into the square. SAM keeps its shape and pads.",
            {NEW: "size for side"},
        ),
        Mistake(
            "The shorter side becomes `size`, and the longer one sticks out. It is the longest that has to fit.",
            {LONGEST: "longest = min(height, width)"},
        ),
        Mistake(
            "Height and width are exchanged: x goes with the width.",
            {
                SCALED: SCALED.replace(
                    "[new_width / width, new_height / height]", "[new_height / height, new_width / width]"
                )
            },
        ),
        Mistake(
            "The factor is upside down: this goes from the network back to the image.",
            {
                SCALED: SCALED.replace(
                    "[new_width / width, new_height / height]", "[width / new_width, height / new_height]"
                )
            },
        ),
        Mistake(
            "The clicks are rounded to whole pixels. They may lie anywhere.",
            {
                SCALED: "return np.rint(points * np.array([new_width / width, new_height / height], points.dtype))"
            },
        ),
        Mistake(
            "Half a pixel is added here. The prompt encoder does that, and once is enough.",
            {SCALED: SCALED.replace("points * np", "(points + 0.5) * np")},
        ),
        Mistake(
            "The clicks are moved as if the padding were on both sides. It is on the right and below: nothing moves.",
            {SCALED: SCALED + " + (size - np.array([new_width, new_height], points.dtype)) / 2"},
        ),
        Mistake(
            "Small images are left as they are. SAM enlarges them, too.",
            {NEW: "int(side * min(1, size / longest) + 0.5) for side"},
        ),
        Mistake(
            "Scaled to between 0 and 1. The prompt encoder wants pixels of the network's input.",
            {SCALED: SCALED + " / size"},
        ),
        Mistake(
            "The points are pushed back into the image. A click may lie at its edge or beyond it, as the corner "
            "of a box does.",
            {
                ("return points * np.array([new_width / width, new_height / height], points.dtype)"): (
                    "moved = points * np.array([new_width / width, new_height / height], points.dtype)\n"
                    "    return np.clip(moved, 0, size - 1).astype(points.dtype)"
                )
            },
        ),
    ],
    "postprocess": [
        Mistake(
            "The padding is not cut off: the mask of the whole square is squeezed into the image.",
            {PART: "image_part = whole"},
        ),
        Mistake(
            "Straight from the grid to the image: the grid has the padding in it, too.",
            {WHOLE: "whole = low_res", PART: "image_part = whole"},
        ),
        Mistake(
            "The padding is at the right and below; here the left and the top are cut off.",
            {PART: "image_part = whole[:, :, size - h :, size - w :]"},
        ),
        Mistake(
            "The middle is cut out, as if the padding were on both sides.",
            {
                PART: (
                    "top, left = (size - h) // 2, (size - w) // 2\n"
                    "    image_part = whole[:, :, top : top + h, left : left + w]"
                )
            },
        ),
        Mistake(
            "Height and width of the image's part are exchanged: rows come first.",
            {PART: "image_part = whole[:, :, :w, :h]"},
        ),
        Mistake(
            "Cut before it is enlarged: at a quarter of the size the edge of the padding lies between two pixels.",
            {
                WHOLE: "quarter = low_res.shape[-1] / size",
                PART: "image_part = low_res[:, :, : max(1, int(h * quarter)), : max(1, int(w * quarter))]",
            },
        ),
        Mistake(
            "The nearest pixel is taken on the first way up: that gives steps.",
            {WHOLE: "whole = F.interpolate(low_res, (size, size))"},
        ),
        Mistake(
            "The nearest pixel is taken on the last way; it is bilinear, too.",
            {BACK: "return F.interpolate(image_part, (height, width))"},
        ),
        Mistake(
            "align_corners=True puts the first and the last pixel's middles on the edges. SAM's pixels are squares.",
            {
                WHOLE: WHOLE.replace("align_corners=False", "align_corners=True"),
                BACK: BACK.replace("align_corners=False", "align_corners=True"),
            },
        ),
        Mistake(
            "The threshold comes first: yes and no are averaged then. It is logits that are enlarged.",
            {WHOLE: WHOLE.replace("low_res,", "(low_res > 0).to(low_res.dtype),")},
        ),
        Mistake(
            "The threshold has been applied. Give back logits; what is above 0 is the caller's to ask.",
            {BACK: BACK.replace("return ", "return (") + " > 0).to(low_res.dtype)"},
        ),
        Mistake(
            "A sigmoid has been applied: these are probabilities, wanted are logits.",
            {BACK: BACK + ".sigmoid()"},
        ),
        Mistake(
            "This is bicubic; SAM is bilinear here.",
            {WHOLE: WHOLE.replace("bilinear", "bicubic"), BACK: BACK.replace("bilinear", "bicubic")},
        ),
        Mistake(
            "The result is as large as the image's part of the input, not as the original image.",
            {BACK: "return image_part"},
        ),
        Mistake(
            "The padding is cut off in the small masks, to whole small pixels. Enlarge to size × size first.",
            {
                (
                    'whole = F.interpolate(low_res, (size, size), mode="bilinear", align_corners=False)\n'
                    "    image_part = whole[:, :, :h, :w]"
                ): (
                    "side = low_res.shape[-1]\n"
                    "    image_part = low_res[:, :, : -(-h * side // size), : -(-w * side // size)]"
                )
            },
        ),
        Mistake(
            "In the last step the corners are laid on the corners (align_corners=True). Pixels are areas: False.",
            {
                ('return F.interpolate(image_part, (height, width), mode="bilinear", align_corners=False)'): (
                    'return F.interpolate(image_part, (height, width), mode="bilinear", align_corners=True)'
                )
            },
        ),
    ],
    "segment": [
        Mistake(
            "The image is padded but not normalised: the network was trained on numbers around 0.",
            {
                READY: "size = sam.image_encoder.img_size\n    ready = F.pad(image, (0, size - w, 0, size - h))[None]"
            },
        ),
        Mistake(
            "The encoder takes a batch of images: preprocess(image)[None].",
            {READY: "ready = sam.preprocess(image)"},
        ),
        Mistake(
            "The prompt encoder takes a batch of prompts: points[None] and labels[None].",
            {PROMPT: PROMPT.replace("scaled[None], labels[None]", "scaled, labels")},
        ),
        Mistake(
            "Red and blue are exchanged: SAM takes RGB.",
            {READY: "ready = sam.preprocess(image.flip(0))[None]"},
        ),
        Mistake(
            "The clicks are not scaled: they are in pixels of the original image still.",
            {CLICKS: "scaled = points"},
        ),
        Mistake(
            "The factors of x and y are exchanged: x goes with the width.",
            {CLICKS: CLICKS.replace("[w / width, h / height]", "[h / height, w / width]")},
        ),
        Mistake(
            "The clicks are divided by the factor; it is for the way back.",
            {CLICKS: CLICKS.replace("[w / width, h / height]", "[width / w, height / h]")},
        ),
        Mistake(
            "Clicks are (x, y). Here they are handed over as (y, x).",
            {PROMPT: PROMPT.replace("scaled[None]", "scaled[None].flip(-1)")},
        ),
        Mistake(
            "The labels are turned round: 1 is the object.",
            {PROMPT: PROMPT.replace("labels[None]", "1 - labels[None]")},
        ),
        Mistake(
            "An empty list of boxes is given instead of None, so the encoder adds no padding point.",
            {PROMPT: PROMPT.replace(", None, None)", ", points.new_zeros(1, 0, 4), None)")},
        ),
        Mistake(
            "Each click is a prompt of its own here: [K, 1, 2]. Together they are one, [1, K, 2], with one answer.",
            {
                PROMPT: PROMPT.replace("scaled[None], labels[None]", "scaled[:, None], labels[:, None]"),
            },
        ),
        Mistake(
            "The image tokens have no positions: the decoder takes get_dense_pe().",
            {POSITIONS: POSITIONS.replace("()", "() * 0")},
        ),
        Mistake(
            "The dense embedding is left out. Without a mask it is not zero, but a learned vector.",
            {DECODED: DECODED.replace("sparse, dense, multi", "sparse, 0 * dense, multi")},
        ),
        Mistake(
            "One mask: multimask_output=True gives the three.",
            {DECODED: DECODED.replace("=True", "=False")},
        ),
        Mistake(
            "The padding is not cut off on the way back.",
            {
                MASKS: MASKS.replace(
                    "img_size, h, w,", "img_size, sam.image_encoder.img_size, sam.image_encoder.img_size,"
                )
            },
        ),
        Mistake(
            "The masks stand in the order of their tokens. Sort them by predicted IoU, best first.",
            {OUT: "return masks[0]"},
        ),
        Mistake(
            "The worst comes first: argsort goes upwards unless descending=True.",
            {ORDER: "best_first = iou[0].argsort()"},
        ),
        Mistake(
            "The axis of the batch is still there: [3, height, width] is wanted.",
            {OUT: "return masks[:, best_first]"},
        ),
        Mistake(
            "The network's input size is written down as 64. Ask the network: sam.image_encoder.img_size.",
            {"sam.image_encoder.img_size": "64"},
        ),
        Mistake(
            "The masks are thresholded: 0 and 1. Logits are asked for.",
            {"return masks[0, best_first]": "return (masks[0, best_first] > 0).float()"},
        ),
    ],
    "decoder_input": [
        Mistake(
            "The bug is still there: multiplied. A mask's embedding of 0 would wipe the image out; added, it says "
            "nothing.",
            {TOGETHER: "return own_image * dense"},
        ),
        Mistake(
            "Multiplied by 1 plus the mask's: that is a gate, and still not the sum.",
            {TOGETHER: "return own_image * (1 + dense)"},
        ),
        Mistake("They are averaged; it is the sum.", {TOGETHER: "return (own_image + dense) / 2"}),
        Mistake("The mask's embedding is subtracted.", {TOGETHER: "return own_image - dense"}),
        Mistake("The larger of the two is taken.", {TOGETHER: "return np.maximum(own_image, dense)"}),
        Mistake(
            "They are stacked along the channels; the decoder has as many channels as before.",
            {TOGETHER: "return np.concatenate([own_image, dense], axis=1)"},
        ),
        Mistake("The mask's embedding is left out.", {TOGETHER: "return own_image + 0 * dense"}),
        Mistake("The image is left out.", {TOGETHER: "return 0 * own_image + dense"}),
        Mistake(
            "The sum is right, but tile has the images in the order a b a b, and the prompts are a a b b.",
            {OWN_IMAGE: "own_image = np.tile(embeddings, (prompts, 1, 1, 1))"},
        ),
        Mistake(
            "Every prompt gets the first image.",
            {OWN_IMAGE: "own_image = np.repeat(embeddings[:1], len(dense), axis=0)"},
        ),
        Mistake(
            "Each channel's mask is averaged over the picture before it is added: then it is no mask any more.",
            {TOGETHER: "return own_image + dense.mean(axis=(2, 3), keepdims=True)"},
        ),
    ],
}
