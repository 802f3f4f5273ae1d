"""Wrong answers to lesson 2, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

ROW_MAX = "row_max = x.max(axis=-1, keepdims=True)"
EXPONENTIALS = "exponentials = np.exp(x - row_max)"
ROW_SUM = "row_sum = exponentials.sum(axis=-1, keepdims=True)"
SCORES = "scale * q @ k.transpose(-2, -1)"
WEIGHTS = "scores.softmax(dim=-1) @ v"
TILED = "keys, values = np.repeat(k, prompts, axis=0), np.repeat(v, prompts, axis=0)"
SUBTRACT = "weights = np.exp(scores - scores.max(axis=-1, keepdims=True))"

WRONG = {
    "softmax": [
        Mistake(
            "No maximum is subtracted: exp(x) is infinite in float32 for x > 88.7, and infinity / infinity is NaN.",
            {EXPONENTIALS: "exponentials = np.exp(x)"},
        ),
        Mistake(
            "The maximum is that of the whole array. It cancels, too, but a row far below it has exponentials that are "
            "all 0, and 0 / 0 is NaN; every row needs its own.",
            {ROW_MAX: "row_max = x.max()"},
        ),
        Mistake(
            "The sum runs over the whole array: each row has to sum to one, not all of them together.",
            {ROW_SUM: "row_sum = exponentials.sum()"},
        ),
        Mistake(
            "Normalised down the columns: axis 0 is the rows' number; a row's scores lie along the last axis.",
            {
                ROW_MAX: "row_max = x.max(axis=0, keepdims=True)",
                ROW_SUM: "row_sum = exponentials.sum(axis=0, keepdims=True)",
            },
        ),
        Mistake(
            "The exponentials are not divided by their sum.",
            {"return exponentials / row_sum": "return exponentials"},
        ),
        Mistake(
            "The mean is subtracted. Any constant cancels, but only the maximum makes sure that no exponential "
            "exceeds 1.",
            {ROW_MAX: "row_max = x.mean(axis=-1, keepdims=True)"},
        ),
        Mistake(
            "The sign is turned: the largest score gets the smallest weight.",
            {EXPONENTIALS: "exponentials = np.exp(x.min(axis=-1, keepdims=True) - x)"},
        ),
        Mistake(
            "The scores are divided by their sum; the exponential is missing, which makes every weight positive.",
            {EXPONENTIALS: "exponentials = x - row_max"},
        ),
        Mistake(
            "The maximum alone gets everything: that is argmax. Softmax gives every score its share.",
            {EXPONENTIALS: "exponentials = (x == row_max).astype(x.dtype)"},
        ),
        Mistake(
            "The power is 2^x, not e^x.",
            {EXPONENTIALS: "exponentials = np.exp2(x - row_max)"},
        ),
        Mistake(
            "x is divided by its maximum, not reduced by it. That changes the softmax, and fails where the "
            "maximum is 0.",
            {"np.exp(x - row_max)": "np.exp(x / row_max)"},
        ),
        Mistake(
            "The largest absolute value is subtracted. Where all numbers are far below 0, every exponential is "
            "then 0, and 0 / 0 is NaN.",
            {"x.max(axis=-1": "np.abs(x).max(axis=-1"},
        ),
        Mistake(
            "Small exponentials are cut off at a lower limit. They may be as small as they are; float32 rounds "
            "them to 0 by itself.",
            {"np.exp(x - row_max)": "np.exp(np.clip(x - row_max, -10, 0))"},
        ),
    ],
    "attention": [
        Mistake("The scale is missing.", {SCORES: "q @ k.transpose(-2, -1)"}),
        Mistake("The scale is applied twice.", {SCORES: "scale * q @ (scale * k).transpose(-2, -1)"}),
        Mistake(
            "It is divided by the scale, which is 1 / √D already.",
            {SCORES: "q @ k.transpose(-2, -1) / scale"},
        ),
        Mistake(
            "Softmax over the queries: each key's weights sum to one. A query has to share itself out among the keys, "
            "the last axis.",
            {WEIGHTS: "scores.softmax(dim=-2) @ v"},
        ),
        Mistake("The scores are used as weights: softmax is missing.", {WEIGHTS: "scores @ v"}),
        Mistake(
            "The keys are averaged instead of the values: k says who fits, v says what is handed over.",
            {WEIGHTS: "scores.softmax(dim=-1) @ k"},
        ),
        Mistake(
            "The values take the place of the keys in the scores.",
            {SCORES: "scale * q @ v.transpose(-2, -1)"},
        ),
        Mistake(
            "A residual connection is added; it belongs to the block around attention, not to attention.",
            {WEIGHTS: "q + scores.softmax(dim=-1) @ v"},
        ),
        Mistake(
            "The exponential is taken without subtracting the maximum: huge scores become infinity, and NaN.",
            {WEIGHTS: "scores.exp() / scores.exp().sum(dim=-1, keepdim=True) @ v"},
        ),
        Mistake(
            "The future is masked away, as in a language model. Pixels have no future: every token sees all.",
            {
                WEIGHTS: (
                    "(scores + scores.new_full(scores.shape[-2:], float('-inf')).triu(1)).softmax(dim=-1) @ v"
                )
            },
        ),
        Mistake(
            "The scale is an argument, and this takes D ** -0.5 in its place. They "
            "are equal only where the caller says so.",
            {"scale * q @ k.transpose(-2, -1)": "q.shape[-1] ** -0.5 * q @ k.transpose(-2, -1)"},
        ),
        Mistake(
            "The scale is applied to the result. It belongs to the scores, before the softmax.",
            {
                ("scores = scale * q @ k.transpose(-2, -1)\n    return scores.softmax(dim=-1) @ v"): (
                    "scores = q @ k.transpose(-2, -1)\n    return scores.softmax(dim=-1) @ v * scale"
                )
            },
        ),
    ],
    "attend_per_prompt": [
        Mistake(
            "The bug is still there: tile gives a b a b a b, and the prompts are a a a b b b. With one image, or one "
            "prompt, both are the same, which is why nobody noticed. np.repeat repeats each image in its place.",
            {TILED: "keys, values = np.tile(k, (prompts, 1, 1)), np.tile(v, (prompts, 1, 1))"},
        ),
        Mistake(
            "The keys are mended, the values are still tiled: the right weights of the wrong image's values.",
            {TILED: "keys, values = np.repeat(k, prompts, axis=0), np.tile(v, (prompts, 1, 1))"},
        ),
        Mistake(
            "The values are mended, the keys are still tiled.",
            {TILED: "keys, values = np.tile(k, (prompts, 1, 1)), np.repeat(v, prompts, axis=0)"},
        ),
        Mistake(
            "Every prompt asks the first image.",
            {TILED: "keys, values = np.repeat(k[:1], len(q), axis=0), np.repeat(v[:1], len(q), axis=0)"},
        ),
        Mistake(
            "Repeated by the number of all prompts of all images, not of one: there are more keys than prompts then.",
            {TILED: "keys, values = np.repeat(k, len(q), axis=0), np.repeat(v, len(q), axis=0)"},
        ),
        Mistake(
            "The images are averaged: each prompt has one image of its own.",
            {TILED: "keys, values = k.mean(axis=0, keepdims=True), v.mean(axis=0, keepdims=True)"},
        ),
        Mistake(
            "The images are in reverse order.",
            {
                TILED: "keys, values = np.repeat(k[::-1], prompts, axis=0), np.repeat(v[::-1], prompts, axis=0)"
            },
        ),
        Mistake(
            "Repeated along the keys: every key twice changes nothing, and the batch is as short as before.",
            {TILED: "keys, values = np.repeat(k, prompts, axis=1), np.repeat(v, prompts, axis=1)"},
        ),
        Mistake(
            "The scale got lost on the way.",
            {"scores = scale * q @ keys.swapaxes(1, 2)": "scores = q @ keys.swapaxes(1, 2)"},
        ),
        Mistake(
            "The weights are no longer divided by their sum.",
            {"return weights / weights.sum(axis=-1, keepdims=True) @ values": "return weights @ values"},
        ),
        Mistake(
            "The copies are right now, and the scale is no longer the one that is given.",
            {"scores = scale * q @ keys": "scores = q.shape[-1] ** -0.5 * q @ keys"},
        ),
    ],
}
