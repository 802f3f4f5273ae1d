"""Wrong answers to lesson 22, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

TOP = "top = rows.max(axis=1, keepdims=True)"
SUM = "return top[:, 0] + np.log(np.exp(rows - top).sum(axis=1))"
LOGITS = "logits = min(scale, 100.0) * (images @ texts.T)"
TWINS = "twins = (same > 0) & ~np.eye(len(logits), dtype=bool)"
LEFT_OUT = "logits = np.where(twins, -np.inf, logits)"
OWN = "own = np.diag(logits)"
OF_IMAGES = "of_images = log_sum_exp(logits) - own"
OF_TEXTS = "of_texts = log_sum_exp(logits.T) - own"
MEAN = "return (of_images + of_texts) / 2"
X = "x0, x1 = columns.min(), columns.max() + 1"
Y = "y0, y1 = rows.min(), rows.max() + 1"
SIDE = "side = factor * max(x1 - x0, y1 - y0)"
SQUARE = "squares.append([(x0 + x1) / 2, (y0 + y1) / 2, side])"
COVERAGE = "coverage = F.avg_pool2d(masks[:, None], patch_size).flatten(1)"
MOST = "most = coverage.amax(dim=1, keepdim=True)"
INSIDE = "inside = coverage >= most.clamp(max=0.5)"
SCORES = "scores = (keys[:, 1:] @ query[:, :, None])[:, :, 0] / query.shape[1] ** 0.5"
WEIGHTS = "weights = scores.masked_fill(~inside, -torch.inf).softmax(dim=1)"
LOOK = "return (weights[:, :, None] * values[:, 1:]).sum(dim=1)"
UNIT = "unit = embeddings / embeddings.norm(dim=1, keepdim=True)"
CENTRED = "centred = unit - centres[kinds.long()]"
TOKENS = "tokens = centred @ projection.T + type_embed"
AXIS = "return tokens[:, None]"

ONE_NORM = {UNIT: "unit = embeddings / embeddings.norm()"}
ONE_CENTRE = {CENTRED: "centred = unit - centres[0]"}
ONE_PROMPT = {AXIS: "return tokens[None]"}

WRONG = {
    "contrastive_losses": [
        Mistake(
            "Twins are still wrong answers for each other: a crop is pushed away from a caption that is true of it.",
            {LEFT_OUT: ""},
        ),
        Mistake(
            "The diagonal was masked together with the twins. A pair's own caption is the right answer; it stays.",
            {TWINS: "twins = same > 0"},
        ),
        Mistake(
            "Twins got a logit of 0, and exp(0) is 1: they still count in the sum. Minus infinity takes them out.",
            {LEFT_OUT: "logits = np.where(twins, 0.0, logits).astype(images.dtype)"},
        ),
        Mistake(
            "The other way round: twins were kept, and all true wrong answers were taken out.",
            {TWINS: "twins = (same == 0) & ~np.eye(len(logits), dtype=bool)"},
        ),
        Mistake(
            "Half of it: each crop finds its text. Each text has to find its crop, too: the columns.",
            {MEAN: "return of_images"},
        ),
        Mistake(
            "Half of it: each text finds its crop. Each crop has to find its text, too: the rows.",
            {MEAN: "return of_texts"},
        ),
        Mistake(
            "Rows and columns were added. The loss is the mean of the two directions.",
            {MEAN: "return of_images + of_texts"},
        ),
        Mistake(
            "The scale has no limit here. It is 100 at most, or training drives the temperature towards zero.",
            {LOGITS: "logits = scale * (images @ texts.T)"},
        ),
        Mistake(
            "Divided by the scale. Cosines are multiplied by it; it is one over the temperature.",
            {LOGITS: "logits = (images @ texts.T) / min(scale, 100.0)"},
        ),
        Mistake(
            "The scale is missing. Cosines lie between -1 and 1, and a softmax over such small numbers is nearly flat.",
            {LOGITS: "logits = images @ texts.T"},
        ),
        Mistake(
            "exp overflows: float32 ends at about exp(88). Take each row's maximum away first.",
            {TOP: "top = np.zeros_like(rows[:, :1])"},
        ),
        Mistake(
            "One softmax over the whole matrix. Each crop chooses among the texts of its row, each text among its "
            "column.",
            {
                OF_IMAGES: "of_images = log_sum_exp(logits.reshape(1, -1)) - own",
                OF_TEXTS: "of_texts = log_sum_exp(logits.reshape(1, -1)) - own",
            },
        ),
        Mistake(
            "These are probabilities; the loss is minus their logarithm.",
            {
                OF_IMAGES: "of_images = np.exp(own - log_sum_exp(logits))",
                OF_TEXTS: "of_texts = np.exp(own - log_sum_exp(logits.T))",
            },
        ),
        Mistake(
            "The sign is turned: this falls as the pairs get worse.",
            {MEAN: "return -(of_images + of_texts) / 2"},
        ),
        Mistake(
            "One number. The loss of each pair was asked for, [B]; its mean is what is trained.",
            {MEAN: "return np.array(((of_images + of_texts) / 2).mean())"},
        ),
    ],
    "crop_squares": [
        Mistake(
            "The far edges are one pixel short. A pixel is a unit square: the last one ends at its number + 1.",
            {X: "x0, x1 = columns.min(), columns.max()", Y: "y0, y1 = rows.min(), rows.max()"},
        ),
        Mistake(
            "The side is right, the centre is half a pixel off: it lies between the outer edges, not between the "
            "numbers of the outermost pixels.",
            {SQUARE: "squares.append([(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, side])"},
        ),
        Mistake(
            "x and y are exchanged: x counts columns, y counts rows.",
            {SQUARE: "squares.append([(y0 + y1) / 2, (x0 + x1) / 2, side])"},
        ),
        Mistake(
            "The tight square: the expansion is missing.",
            {SIDE: "side = max(x1 - x0, y1 - y0)"},
        ),
        Mistake(
            "The shorter side of the box: the thing is cut off at its ends. Take the longer one.",
            {SIDE: "side = factor * min(x1 - x0, y1 - y0)"},
        ),
        Mistake(
            "The side is always the width; a tall thing is cut off. Take the longer side.",
            {SIDE: "side = factor * (x1 - x0)"},
        ),
        Mistake(
            "The side is always the height; a wide thing is cut off. Take the longer side.",
            {SIDE: "side = factor * (y1 - y0)"},
        ),
        Mistake(
            "The side of a square of the box's area. The box has to fit in: take its longer side.",
            {SIDE: "side = factor * ((x1 - x0) * (y1 - y0)) ** 0.5"},
        ),
        Mistake(
            "The expansion was added as pixels. It is a factor.",
            {SIDE: "side = factor + max(x1 - x0, y1 - y0)"},
        ),
        Mistake(
            "The margin of the expansion was added on both sides in full: 1.5 became 2.",
            {SIDE: "side = (2 * factor - 1) * max(x1 - x0, y1 - y0)"},
        ),
        Mistake(
            "The centre of mass. The square is centred on the box, or it would cut off what sticks out.",
            {SQUARE: "squares.append([columns.mean() + 0.5, rows.mean() + 0.5, side])"},
        ),
        Mistake(
            "The top-left corner. The first two numbers are the centre of the square.",
            {SQUARE: "squares.append([(x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side])"},
        ),
        Mistake(
            "The square was made to fit into the image. It may reach beyond; what lies there is 0 in the crop.",
            {SIDE: "side = min(factor * max(x1 - x0, y1 - y0), *mask.shape)"},
        ),
        Mistake(
            "The side is cut to whole pixels. Edges may lie anywhere; resizing takes care of that.",
            {SIDE: "side = int(factor * max(x1 - x0, y1 - y0))"},
        ),
        Mistake(
            "The first two numbers are a corner of the box. The centre of the square is asked for.",
            {"[(x0 + x1) / 2, (y0 + y1) / 2, side]": "[x0, y0, side]"},
        ),
        Mistake(
            "Half of the side is given. The whole side is asked for.",
            {"(y0 + y1) / 2, side]": "(y0 + y1) / 2, side / 2]"},
        ),
    ],
    "look_inside": [
        Mistake(
            "The mask is not used: the class token looks everywhere, and speaks of the whole crop.",
            {WEIGHTS: "weights = scores.softmax(dim=1)"},
        ),
        Mistake(
            "The class token looks at itself as well. It has gathered the whole crop in the layers before; here it "
            "looks at patches inside the mask alone.",
            {
                SCORES: "scores = (keys @ query[:, :, None])[:, :, 0] / query.shape[1] ** 0.5",
                WEIGHTS: (
                    "weights = scores.masked_fill(~F.pad(inside, (1, 0), value=True), -torch.inf).softmax(dim=1)"
                ),
                LOOK: "return (weights[:, :, None] * values).sum(dim=1)",
            },
        ),
        Mistake(
            "It looks outside the mask: the condition is turned round.",
            {
                WEIGHTS: "weights = scores.masked_fill(inside & ~inside.all(1, True), -torch.inf).softmax(dim=1)"
            },
        ),
        Mistake(
            "A patch that is covered by exactly one half is inside, too: >= for >.",
            {INSIDE: "inside = (coverage > 0.5) | ((most < 0.5) & (coverage == most))"},
        ),
        Mistake(
            "A single pixel makes a patch inside here; it takes half of them.",
            {INSIDE: "inside = coverage > 0"},
        ),
        Mistake(
            "Only patches that are covered whole are inside here; half is enough.",
            {INSIDE: "inside = coverage >= most.clamp(max=1.0)"},
        ),
        Mistake(
            "A thin mask covers no patch by half, and a softmax over nothing is 0 / 0. Then the patches that are "
            "covered most are inside.",
            {INSIDE: "inside = coverage >= 0.5"},
        ),
        Mistake(
            "A thin mask covers no patch by half, and several may be covered most. All of them are inside.",
            {
                INSIDE: (
                    "first = F.one_hot(coverage.argmax(dim=1), coverage.shape[1]).bool()\n"
                    "    inside = (coverage >= 0.5) | ((most < 0.5) & first)"
                )
            },
        ),
        Mistake(
            "A thin mask covers no patch by half; here the class token then looks everywhere. Take the patches that "
            "are covered most.",
            {INSIDE: "inside = (coverage >= 0.5) | (most < 0.5)"},
        ),
        Mistake(
            "The largest share was taken over all crops. Each crop has its own.",
            {MOST: "most = coverage.amax()"},
        ),
        Mistake(
            "Scores outside were set to 0, and exp(0) is 1: they still get weight. Minus infinity takes them out.",
            {WEIGHTS: "weights = scores.masked_fill(~inside, 0.0).softmax(dim=1)"},
        ),
        Mistake(
            "Weights outside were set to 0 after the softmax, so what is left no longer adds up to 1.",
            {WEIGHTS: "weights = scores.softmax(dim=1) * inside"},
        ),
        Mistake(
            "The scores are not divided by √D (lesson 2).",
            {SCORES: "scores = (keys[:, 1:] @ query[:, :, None])[:, :, 0]"},
        ),
        Mistake(
            "Rows and columns of the patches are exchanged: the mask was laid over the crop's mirror image.",
            {COVERAGE: "coverage = F.avg_pool2d(masks[:, None], patch_size).mT.flatten(1)"},
        ),
        Mistake(
            "Everything has moved by one: the last token was left out. The class token is the first one.",
            {
                SCORES: "scores = (keys[:, :-1] @ query[:, :, None])[:, :, 0] / query.shape[1] ** 0.5",
                LOOK: "return (weights[:, :, None] * values[:, :-1]).sum(dim=1)",
            },
        ),
        Mistake(
            "The plain mean of the values inside: the query asks nothing. Weigh them by softmax of the scores.",
            {WEIGHTS: "weights = inside / inside.sum(dim=1, keepdim=True)"},
        ),
        Mistake(
            "All patches take part, and the weights are multiplied by their coverage. Only those inside are in the "
            "softmax.",
            {"scores.masked_fill(~inside, -torch.inf).softmax(dim=1)": "scores.softmax(dim=1) * coverage"},
        ),
    ],
    "external_tokens": [
        Mistake(
            "All three bugs are still there. Start at the first line: how long is each of three embeddings then?",
            {**ONE_NORM, **ONE_CENTRE, **ONE_PROMPT},
        ),
        Mistake(
            "Each prompt has its token now. Two bugs are left: one length for all embeddings together, and the crops' "
            "centre for texts.",
            {**ONE_NORM, **ONE_CENTRE},
        ),
        Mistake(
            "The centres are right now. Two bugs are left: one length for all embeddings together, and the axis of the "
            "prompts.",
            {**ONE_NORM, **ONE_PROMPT},
        ),
        Mistake(
            "Every embedding has length 1 now. Two bugs are left: the crops' centre for texts, and the axis of the "
            "prompts.",
            {**ONE_CENTRE, **ONE_PROMPT},
        ),
        Mistake(
            "One bug is left: norm() is the length of all embeddings together. Each of them gets length 1.",
            ONE_NORM,
        ),
        Mistake(
            "One bug is left: texts are measured from the crops' centre, which is the modality gap, left open.",
            ONE_CENTRE,
        ),
        Mistake(
            "One bug is left: this is one prompt with P tokens. P prompts were asked for, with a token each.",
            ONE_PROMPT,
        ),
        Mistake(
            "The centres are exchanged: crops are measured from the texts' centre, texts from the crops'.",
            {CENTRED: "centred = unit - centres[1 - kinds.long()]"},
        ),
        Mistake(
            "One centre between the two kinds. Crops and texts then still lie on two sides of it.",
            {CENTRED: "centred = unit - centres.mean(dim=0)"},
        ),
        Mistake(
            "The batch's own mean was taken for the centre. The answer to a prompt must not depend on what else is "
            "asked.",
            {CENTRED: "centred = unit - unit.mean(dim=0)"},
        ),
        Mistake(
            "Embeddings keep their length. The centres are those of embeddings of length 1.",
            {UNIT: "unit = embeddings"},
        ),
        Mistake(
            "First the centre, then length 1: the centre is that of unit vectors, so it is the other way round.",
            {
                UNIT: "shifted = embeddings - centres[kinds.long()]",
                CENTRED: "centred = shifted / shifted.norm(dim=1, keepdim=True)",
            },
        ),
        Mistake(
            "Length 1 once more behind the centring. How far something lies from the centre is lost.",
            {
                TOKENS: "tokens = centred / centred.norm(dim=1, keepdim=True) @ projection.T + type_embed",
            },
        ),
        Mistake(
            "The type embedding is gone. It tells the decoder that this token is no point.",
            {TOKENS: "tokens = centred @ projection.T"},
        ),
        Mistake(
            "The prompts' tokens lack their axis: [P, E]. The prompt encoder's tokens are [P, N, E], here N is 1.",
            {AXIS: "return tokens"},
        ),
        Mistake(
            "One bug is left: norm(dim=0) is the length of a channel over the prompts. Each prompt's embedding "
            "gets length 1.",
            {"embeddings.norm(dim=1, keepdim=True)": "embeddings.norm(dim=0, keepdim=True)"},
        ),
    ],
}
