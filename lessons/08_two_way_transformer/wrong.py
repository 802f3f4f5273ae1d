"""Wrong answers to lesson 8, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

SPLIT = "(x @ w.T).reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)"
SCALE = "scale = q_heads.shape[-1] ** -0.5"
SCORES = "scores = scale * q_heads @ k_heads.swapaxes(2, 3)"
ANSWERS = "answers = softmax(scores) @ v_heads"
TOGETHER = "together = answers.swapaxes(1, 2).reshape(*q.shape[:2], -1)"
OUT = "return together @ w_out.T"
STEP_1_FIRST = "x = norm(attend(x, x, x, among_tokens, num_heads))"
STEP_1 = "x = norm(x + attend(x + p, x + p, x, among_tokens, num_heads))"
STEP_2 = "x = norm(x + attend(x + p, y + e, y, tokens_to_image, num_heads))"
STEP_3 = "x = norm(x + F.relu(x @ w_1.T) @ w_2.T)"
STEP_4 = "y = norm(y + attend(y + e, x + p, x, image_to_tokens, num_heads))"
BOTH = "return torch.cat([x, y], dim=1)"
TOLD = "told = attend(y + e, x + p, x, w, num_heads)"
NEW = "return norm(y + told)"

WRONG = {
    "multi_head": [
        Mistake(
            "Reshaped to [B, heads, L, D] straight away: that cuts the tokens, not the channels, into heads. First "
            "[B, L, heads, D], then exchange the axes.",
            {SPLIT: "(x @ w.T).reshape(x.shape[0], num_heads, x.shape[1], -1)"},
        ),
        Mistake(
            "Channels are dealt out to the heads in turn. A head has neighbouring channels: the head is the slower "
            "axis.",
            {SPLIT: "(x @ w.T).reshape(*x.shape[:2], -1, num_heads).transpose(0, 3, 1, 2)"},
        ),
        Mistake(
            "The scale is that of the whole width; a dot product here runs over one head's channels only.",
            {SCALE: "scale = w_q.shape[0] ** -0.5"},
        ),
        Mistake("The scale is missing.", {SCALE: "scale = 1"}),
        Mistake(
            "The heads are put together without exchanging the axes back: a token gets numbers of other tokens.",
            {TOGETHER: "together = answers.reshape(*q.shape[:2], -1)"},
        ),
        Mistake(
            "One head only: all channels in one dot product.",
            {SPLIT: "(x @ w.T).reshape(*x.shape[:2], 1, -1).swapaxes(1, 2)"},
        ),
        Mistake(
            "The output matrix is missing; it mixes the heads' answers.",
            {OUT: "return together @ np.eye(*w_out.shape, dtype=q.dtype).T"},
        ),
        Mistake(
            "The matrices are reshaped where they should be transposed, x @ w.T: a reshape keeps the order in memory.",
            {SPLIT: SPLIT.replace("(x @ w.T)", "(x @ w.reshape(w.shape[::-1]))")},
        ),
        Mistake(
            "Keys are projected by the queries' matrix; they have their own.",
            {"(k, w_k), (v, w_v)": "(k, w_q), (v, w_v)"},
        ),
        Mistake(
            "Values are projected by the keys' matrix; they have their own.",
            {"(k, w_k), (v, w_v)": "(k, w_k), (v, w_k)"},
        ),
        Mistake(
            "The values are made of k. Keys and values are two inputs: in SAM the keys have positions on them, the "
            "values have not.",
            {"(k, w_k), (v, w_v)": "(k, w_k), (k, w_v)"},
        ),
        Mistake(
            "Softmax is missing: the scores are used as weights.", {ANSWERS: "answers = scores @ v_heads"}
        ),
        Mistake(
            "The heads' answers are averaged; they are put next to each other.",
            {
                TOGETHER: (
                    "mean = np.repeat(answers.mean(axis=1, keepdims=True), num_heads, axis=1)\n"
                    "    together = mean.swapaxes(1, 2).reshape(*q.shape[:2], -1)"
                )
            },
        ),
        Mistake(
            "The softmax runs over the queries. Each query's weights for the keys, the last axis, sum to 1.",
            {"softmax(scores)": "softmax(scores.swapaxes(2, 3)).swapaxes(2, 3)"},
        ),
        Mistake(
            "The scale is made of the tokens' channels. A score is a product of one head's D channels: 1/√D.",
            {"q_heads.shape[-1] ** -0.5": "q.shape[-1] ** -0.5"},
        ),
    ],
    "two_way_block": [
        Mistake(
            "The first block has a residual here, as the paper has it. In SAM's code its self-attention replaces x.",
            {STEP_1_FIRST: "x = norm(x + attend(x, x, x, among_tokens, num_heads))"},
        ),
        Mistake(
            "p is added in the first block's self-attention. There x is p still, and SAM adds nothing.",
            {STEP_1_FIRST: "x = norm(attend(x + p, x + p, x, among_tokens, num_heads))"},
        ),
        Mistake(
            "The first block is treated like the others; its self-attention has no p and no residual.",
            {"if first:": "if False:"},
        ),
        Mistake(
            "Every block is treated like the first; later ones have p and a residual in their self-attention.",
            {"if first:": "if True:"},
        ),
        Mistake(
            "first is 1 in the first block: the two ways are exchanged.",
            {"if first:": "if not first:"},
        ),
        Mistake(
            "Positions are in the values of step 1: the third argument is x alone.",
            {STEP_1: STEP_1.replace("x + p, x, among", "x + p, x + p, among")},
        ),
        Mistake(
            "Positions are in the values of step 2: the third argument is y alone.",
            {STEP_2: STEP_2.replace("y + e, y,", "y + e, y + e,")},
        ),
        Mistake(
            "The tokens ask without p in step 2. It is added again at each attention.",
            {STEP_2: STEP_2.replace("attend(x + p,", "attend(x,")},
        ),
        Mistake(
            "The image's keys have no e in step 2: a click cannot find the token under it.",
            {STEP_2: STEP_2.replace("y + e, y,", "y, y,")},
        ),
        Mistake("Step 2 has no residual.", {STEP_2: STEP_2.replace("norm(x + attend", "norm(attend")}),
        Mistake("Step 3 has no ReLU.", {STEP_3: STEP_3.replace("F.relu(x @ w_1.T)", "(x @ w_1.T)")}),
        Mistake(
            "Step 3 has a GELU, as the image encoder has. The decoder has a ReLU.",
            {STEP_3: STEP_3.replace("F.relu", "F.gelu")},
        ),
        Mistake("Step 3 has no residual.", {STEP_3: STEP_3.replace("norm(x + F.relu", "norm(F.relu")}),
        Mistake(
            "Positions are in the values of step 4: the third argument is x alone.",
            {STEP_4: STEP_4.replace("x + p, x,", "x + p, x + p,")},
        ),
        Mistake(
            "The image asks without e in step 4.",
            {STEP_4: STEP_4.replace("attend(y + e,", "attend(y,")},
        ),
        Mistake(
            "The tokens' keys have no p in step 4.",
            {STEP_4: STEP_4.replace("x + p, x,", "x, x,")},
        ),
        Mistake("Step 4 has no residual.", {STEP_4: STEP_4.replace("norm(y + attend", "norm(attend")}),
        Mistake("Step 4 has no norm.", {STEP_4: STEP_4.replace("norm(y + attend", "(y + attend")}),
        Mistake(
            "The image asks before the tokens have asked it. Step 4 comes last and meets the new tokens.",
            {STEP_2: STEP_4 + "\n    " + STEP_2, "    " + STEP_4 + "\n    return": "    return"},
        ),
        Mistake(
            "The norm comes before each step. SAM's decoder has it after the sum.",
            {
                STEP_2: "x = x + attend(norm(x) + p, norm(y) + e, norm(y), tokens_to_image, num_heads)",
                STEP_3: "x = x + F.relu(norm(x) @ w_1.T) @ w_2.T",
                STEP_4: "y = y + attend(norm(y) + e, norm(x) + p, norm(x), image_to_tokens, num_heads)",
            },
        ),
        Mistake(
            "The image comes first in the result; it should be the tokens, then the image.",
            {BOTH: "return torch.cat([y, x], dim=1)"},
        ),
        Mistake("Both results belong in one tensor: torch.cat([x, y], dim=1).", {BOTH: "return x, y"}),
        Mistake(
            "In step 3, the norm is applied to the perceptron's result alone. It is applied to the sum with x.",
            {"x = norm(x + F.relu(x @ w_1.T) @ w_2.T)": "x = x + norm(F.relu(x @ w_1.T) @ w_2.T)"},
        ),
        Mistake(
            "Step 4 comes before step 3: the image attends to tokens that have not been through the perceptron.",
            {
                (
                    "    x = norm(x + F.relu(x @ w_1.T) @ w_2.T)\n"
                    "    y = norm(y + attend(y + e, x + p, x, image_to_tokens, num_heads))"
                ): (
                    "    y = norm(y + attend(y + e, x + p, x, image_to_tokens, num_heads))\n"
                    "    x = norm(x + F.relu(x @ w_1.T) @ w_2.T)"
                )
            },
        ),
    ],
    "image_asks": [
        Mistake(
            "The bug is still there: without the residual every image token becomes a mixture of 7 vectors. What it "
            "knew of the image is gone. Add y, then norm.",
            {NEW: "return told"},
        ),
        Mistake(
            "The norm is missing: after the sum each token is brought back to mean 0 and variance 1.",
            {NEW: "return y + told"},
        ),
        Mistake(
            "The residual is missing: normalised, it still is a mixture of 7 vectors.",
            {NEW: "return norm(told)"},
        ),
        Mistake(
            "The norm is on the answer only; it comes after the sum.",
            {NEW: "return y + norm(told)"},
        ),
        Mistake(
            "The norm is on the image only; it comes after the sum.",
            {NEW: "return norm(y) + told"},
        ),
        Mistake(
            "The residual carries the positions along: it is y that goes on, without e.",
            {NEW: "return norm(y + e + told)"},
        ),
        Mistake(
            "The answer is subtracted.",
            {NEW: "return norm(y - told)"},
        ),
        Mistake(
            "Image and answer are multiplied; a residual is a sum.",
            {NEW: "return norm(y * told)"},
        ),
        Mistake(
            "The values have positions on them now: the third argument is x alone.",
            {TOLD: TOLD.replace("x + p, x,", "x + p, x + p,")},
        ),
        Mistake(
            "The positions of the image got lost: it asks with y + e.",
            {TOLD: TOLD.replace("attend(y + e,", "attend(y,")},
        ),
        Mistake(
            "The positions of the tokens got lost: the keys are x + p.",
            {TOLD: TOLD.replace("x + p, x,", "x, x,")},
        ),
        Mistake(
            "The image asks itself: keys and values come from the tokens in this step.",
            {TOLD: "told = attend(y + e, y + e, y, w, num_heads)"},
        ),
    ],
}
