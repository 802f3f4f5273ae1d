"""Wrong answers to lesson 6, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

ANGLES = "angles = 2 * np.pi * ((2 * coords - 1) @ gaussian)"
TOGETHER = "np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)"
Y = "y = (torch.arange(height) + 0.5) / height"
X = "x = (torch.arange(width) + 0.5) / width"
CENTRES = "torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)"
PHASES = "phases = 2 * math.pi * ((2 * centres - 1) @ gaussian)"
CHANNELS_FIRST = "torch.cat([phases.sin(), phases.cos()], dim=-1).permute(2, 0, 1)"
DRAWN = "gaussian = noise  #"
PRODUCTS = "products = np.sin(angle_a) * np.sin(angle_b) + np.cos(angle_a) * np.cos(angle_b)"

WRONG = {
    "fourier_encoding": [
        Mistake(
            "The factor 2π is missing: a frequency of 1 has to go round once, and a circle is 2π long.",
            {ANGLES: "angles = (2 * coords - 1) @ gaussian"},
        ),
        Mistake(
            "The factor is π, half a circle; a period is 2π.",
            {ANGLES: "angles = np.pi * ((2 * coords - 1) @ gaussian)"},
        ),
        Mistake(
            "Positions stay in [0, 1]. SAM moves them to [−1, 1] first, by 2p − 1.",
            {ANGLES: "angles = 2 * np.pi * (coords @ gaussian)"},
        ),
        Mistake(
            "Positions are moved by 1 but not stretched: 2p − 1 runs from −1 to 1, p − 1 does not.",
            {ANGLES: "angles = 2 * np.pi * ((coords - 1) @ gaussian)"},
        ),
        Mistake(
            "The cosines come first, as Tancik et al. write it. SAM's code has the sines first, and its weights know.",
            {TOGETHER: "np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)"},
        ),
        Mistake(
            "Sines and cosines alternate; here all sines come first, then all cosines.",
            {TOGETHER: "np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(*coords.shape[:-1], -1)"},
        ),
        Mistake(
            "The cosines are missing. A sine alone does not give a dot product that depends on the difference only.",
            {TOGETHER: "np.concatenate([np.sin(angles), np.sin(angles)], axis=-1)"},
        ),
        Mistake(
            "x and y are exchanged: row 0 of G is for x, the first coordinate.",
            {ANGLES: "angles = 2 * np.pi * ((2 * coords[..., ::-1] - 1) @ gaussian)"},
        ),
        Mistake(
            "The angles themselves are returned; their sines and cosines are the code.",
            {TOGETHER: "np.concatenate([angles, angles], axis=-1)"},
        ),
        Mistake(
            "Sines and cosines are put below each other, along the points. They belong to one point: the last axis.",
            {TOGETHER: "np.concatenate([np.sin(angles), np.cos(angles)], axis=-2)"},
        ),
        Mistake(
            "The code is divided by its length. SAM leaves it as it is: its length is √F anyway.",
            {TOGETHER: TOGETHER + " / gaussian.shape[1] ** 0.5"},
        ),
        Mistake(
            "2 · (c − 1) lies between −2 and 0. Needed is 2 · c − 1, between −1 and 1.",
            {"(2 * coords - 1) @": "(2 * (coords - 1)) @"},
        ),
    ],
    "grid_encoding": [
        Mistake(
            "These are the cells' corners: the half is missing. A token stands for the middle of its cell.",
            {Y: "y = torch.arange(height) / height", X: "x = torch.arange(width) / width"},
        ),
        Mistake(
            "The first centre is at 0 and the last at 1, as linspace has it. Centres lie half a cell inside.",
            {Y: "y = torch.linspace(0, 1, height)", X: "x = torch.linspace(0, 1, width)"},
        ),
        Mistake(
            "Width and height are exchanged in the division: x counts columns, of which there are `width`.",
            {Y: Y.replace("/ height", "/ width"), X: X.replace("/ width", "/ height")},
        ),
        Mistake(
            "Positions are (y, x): the first coordinate has to be x, which goes with row 0 of G.",
            {CENTRES: "torch.stack([y[:, None].expand(height, width), x.expand(height, width)], dim=-1)"},
        ),
        Mistake(
            "The grid is transposed: rows first, then columns, as an image has them.",
            {CHANNELS_FIRST: CHANNELS_FIRST.replace("(2, 0, 1)", "(2, 1, 0)")},
        ),
        Mistake(
            "The channels are last; the image embedding that this is added to has them first.",
            {CHANNELS_FIRST: CHANNELS_FIRST.removesuffix(".permute(2, 0, 1)")},
        ),
        Mistake(
            "Reshaped where axes should move: reshape keeps the order in memory, so the numbers of one place are "
            "spread over many.",
            {CHANNELS_FIRST: CHANNELS_FIRST.replace("permute(2, 0, 1)", "reshape(-1, height, width)")},
        ),
        Mistake(
            "Positions stay in [0, 1]; they go to [−1, 1] before the product with G.",
            {PHASES: "phases = 2 * math.pi * (centres @ gaussian)"},
        ),
        Mistake(
            "Positions count cells; they have to run from 0 to 1 over the grid, whatever its size.",
            {Y: "y = torch.arange(height) + 0.5", X: "x = torch.arange(width) + 0.5"},
        ),
        Mistake(
            "The rows run upwards. In an image y grows downwards.",
            {Y: Y + "\n    y = y.flip(0)"},
        ),
        Mistake(
            "Cosines first, then sines. It is the other way round.",
            {CHANNELS_FIRST: "torch.cat([phases.cos(), phases.sin()], dim=-1).permute(2, 0, 1)"},
        ),
    ],
    "nearness": [
        Mistake(
            "The bug is still there. For ViT-B, frequencies of deviation 384 make the bell 384 times narrower, a "
            "quarter of a pixel of 1024. Any two places are strangers. The noise has deviation 1: "
            "that is the scale.",
            {DRAWN: "gaussian = noise * (hidden_size // 2)  #"},
        ),
        Mistake(
            "Now it is too wide: divided by half the hidden size, all of the image is one place. The scale is 1.",
            {DRAWN: "gaussian = noise / (hidden_size // 2)  #"},
        ),
        Mistake(
            "The square root of half the hidden size is still a scale; it should be 1.",
            {DRAWN: "gaussian = noise * (hidden_size // 2) ** 0.5  #"},
        ),
        Mistake(
            "Divided by the square root of half the hidden size, as one initialises a layer. These are frequencies, "
            "not weights of a sum.",
            {DRAWN: "gaussian = noise / (hidden_size // 2) ** 0.5  #"},
        ),
        Mistake(
            "Each frequency is given length 1. Then all periods are alike, and the cosine comes back.",
            {DRAWN: "gaussian = noise / np.sqrt((noise**2).sum(axis=0))  #"},
        ),
        Mistake(
            "The factor was mended by taking 2p − 1 away; that halves the frequencies and leaves the bug.",
            {
                DRAWN: "gaussian = noise * (hidden_size // 2)  #",
                "(2 * position - 1) @ gaussian for": "position @ gaussian for",
            },
        ),
        Mistake(
            "2π has gone: the bell is 2π times too wide.",
            {"(2 * np.pi * (2 * position - 1) @ gaussian for": "((2 * position - 1) @ gaussian for"},
        ),
        Mistake(
            "Only the sines are left: the product then depends on the places, not on their difference.",
            {PRODUCTS: "products = np.sin(angle_a) * np.sin(angle_b)"},
        ),
        Mistake(
            "The two products are subtracted: that is the cosine of the sum of the angles, not of their difference.",
            {PRODUCTS: "products = np.cos(angle_a) * np.cos(angle_b) - np.sin(angle_a) * np.sin(angle_b)"},
        ),
        Mistake(
            "The sum over the frequencies, not the mean: one place would be alike to itself by F, not by 1.",
            {"return products.mean(axis=-1)": "return products.sum(axis=-1)"},
        ),
        Mistake(
            "The frequencies still depend on the hidden size, by its root now. Their deviation is 1 for every "
            "network.",
            {"gaussian = noise ": "gaussian = noise * hidden_size**0.5 "},
        ),
    ],
}
