"""Wrong answers to lesson 1, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

LOOP_PATCH = "image[:, :, i * P : (i + 1) * P, j * P : (j + 1) * P]"
ONE_PATCH_EINSUM = 'np.einsum("bcyx,dcyx->bd", patch, weight) + bias'

WRONG = {
    "patch_embed": [
        Mistake(
            "The patches overlap: patch (i, j) starts at pixel (i, j). The next one starts where the last ends, "
            "at i * P.",
            {LOOP_PATCH: "image[:, :, i : i + P, j : j + P]"},
        ),
        Mistake(
            "Rows and columns are exchanged: i counts patches downwards, along H, which is axis 2 of the image.",
            {
                LOOP_PATCH: "image[:, :, j * P : (j + 1) * P, i * P : (i + 1) * P]",
                "rows, columns = image.shape[2] // P, image.shape[3] // P\n    tokens": (
                    "columns, rows = image.shape[2] // P, image.shape[3] // P\n    tokens"
                ),
            },
        ),
        Mistake(
            "The bias is missing: every token gets the same vector b on top.",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcyx->bd", patch, weight)'},
        ),
        Mistake(
            "The bias is added once for every pixel of a patch; it belongs to the token, once.",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcyx->bd", patch, weight) + P * P * bias'},
        ),
        Mistake(
            "The filter is upside down and mirrored, as a convolution of mathematics would have it. What deep learning "
            "calls a convolution does not flip: pixel (y, x) of the patch meets weight (y, x).",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcyx->bd", patch, weight[:, :, ::-1, ::-1]) + bias'},
        ),
        Mistake(
            "A patch's rows meet the filter's columns: the patch, or the weight, is transposed.",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcxy->bd", patch, weight) + bias'},
        ),
        Mistake(
            "This is the mean over the patch; the definition has a sum. The weights learn their own size.",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcyx->bd", patch, weight) / patch[0].size + bias'},
        ),
        Mistake(
            "The channels are added up before the filter sees them: each channel has weights of its own.",
            {ONE_PATCH_EINSUM: ('np.einsum("byx,dyx->bd", patch.sum(axis=1), weight.mean(axis=1)) + bias')},
        ),
        Mistake(
            "Only the first image of the batch is cut; every image has its own tokens.",
            {ONE_PATCH_EINSUM: 'np.einsum("bcyx,dcyx->bd", patch[:1], weight) + bias'},
        ),
        Mistake(
            "The channels come first here; the encoder keeps tokens as [B, rows, columns, D], channels last.",
            {"    return tokens\n": "    return tokens.transpose(0, 3, 1, 2)\n"},
        ),
        Mistake(
            "The products are averaged over the pixels of a patch. They are summed over channels, rows and "
            "columns.",
            {(" + bias\n    return tokens"): (" / P**2 + bias\n    return tokens")},
        ),
    ],
    "patch_embed_torch": [
        Mistake(
            "Reshaped without moving axes: a run of C*P*P numbers in memory is a piece of an image row, not a patch. "
            "Give the sides two axes each, then permute, then flatten.",
            {
                "cut.permute(0, 2, 4, 1, 3, 5).flatten(3)": (
                    "cut.reshape(len(cut), cut.shape[2], cut.shape[4], -1)"
                )
            },
        ),
        Mistake(
            "The flattened patch has its channels last, the flattened weight has them first: the matrix product pairs "
            "numbers that do not belong together.",
            {"permute(0, 2, 4, 1, 3, 5)": "permute(0, 2, 4, 3, 5, 1)"},
        ),
        Mistake(
            "Rows and columns within a patch are exchanged when it is flattened.",
            {"permute(0, 2, 4, 1, 3, 5)": "permute(0, 2, 4, 1, 5, 3)"},
        ),
        Mistake(
            "The grid is transposed: axis 1 of the tokens counts downwards, along H.",
            {"permute(0, 2, 4, 1, 3, 5)": "permute(0, 4, 2, 1, 3, 5)"},
        ),
        Mistake(
            "Which patch and which pixel are exchanged: unflatten(3, (-1, P)) gives the patch first, the pixel "
            "second.",
            {"permute(0, 2, 4, 1, 3, 5)": "permute(0, 3, 5, 1, 2, 4)"},
        ),
        Mistake("The bias is missing.", {"weight.flatten(1).T + bias": "weight.flatten(1).T"}),
        Mistake(
            "Pixels that fill no whole patch must be cut off at the right and at the bottom, not at the left and "
            "the top.",
            {
                "image[:, :, :height, :width]": (
                    "image[:, :, image.shape[2] - height :, image.shape[3] - width :]"
                )
            },
        ),
        Mistake(
            "Images whose sides are no multiple of P must work too: cut the rest off before unflatten.",
            {"image[:, :, :height, :width]": "image"},
        ),
        Mistake(
            "The weight was reshaped to [C*P*P, D] where it should be transposed: reshape keeps the order in memory.",
            {"weight.flatten(1).T": "weight.reshape(-1, weight.shape[0])"},
        ),
        Mistake(
            "The result is right, and made by F.conv2d. The task is to make it as "
            "one matrix product: the convolution is what you are building.",
            {
                "from torch import Tensor": ("import torch.nn.functional as F\nfrom torch import Tensor"),
                (
                    "    height, width = image.shape[2] // P * P, image.shape[3] // P * P\n"
                    "    cut = image[:, :, :height, :width].unflatten(3, (-1, "
                    "P)).unflatten(2, (-1, P))\n"
                    "    patches = cut.permute(0, 2, 4, 1, 3, 5).flatten(3)  # [B, rows, "
                    "columns, C*P*P]\n"
                    "    return patches @ weight.flatten(1).T + bias"
                ): "    return F.conv2d(image, weight, bias, stride=P).permute(0, 2, 3, 1)",
            },
        ),
        Mistake(
            "The result is right, and made in a loop over patches. The task is one "
            "matrix product for all of them.",
            {
                ("    cut = image[:, :, :height, :width].unflatten(3, (-1, P)).unflatten(2, (-1, P))\n"): (
                    "    tokens = image.new_zeros(len(image), height // P, width // P, "
                    "len(weight))\n"
                    "    for i in range(height // P):\n"
                    "        for j in range(width // P):\n"
                    "            patch = image[:, :, i * P : (i + 1) * P, j * P : (j + 1) * "
                    "P].flatten(1)\n"
                    "            tokens[:, i, j] = patch @ weight.flatten(1).T + bias\n"
                    "    return tokens\n"
                )
            },
        ),
        Mistake(
            "The values are right, but the gradient is cut off: detach() and NumPy "
            "make a layer that cannot be trained.",
            {
                "return patches @ weight.flatten(1).T + bias": "return patches @ weight.detach().flatten(1).T + bias"
            },
        ),
    ],
    "prepare": [
        Mistake(
            "The bug is still there: padding first turns the zeros into (0 - mean) / std, a black margin. Normalise "
            "first, then pad: zero is then the mean colour.",
            {
                "normalised = (image - mean[:, None, None]) / std[:, None, None]": (
                    "padded = np.pad(image, ((0, 0), (0, below), (0, right)))"
                ),
                "return np.pad(normalised, ((0, 0), (0, below), (0, right)))": (
                    "return (padded - mean[:, None, None]) / std[:, None, None]"
                ),
            },
        ),
        Mistake(
            "The padding is at the left and the top, so every click would have to move along. Pad right and below.",
            {"((0, 0), (0, below), (0, right)))": "((0, 0), (below, 0), (right, 0)))"},
        ),
        Mistake(
            "The padding is split between both sides, so every click would have to move along. Pad right and below.",
            {
                "((0, 0), (0, below), (0, right)))": (
                    "((0, 0), (below // 2, below - below // 2), (right // 2, right - right // 2)))"
                )
            },
        ),
        Mistake(
            "Mean and standard deviation are for the colours, axis 0 of the image: give them two axes more, "
            "mean[:, None, None].",
            {
                "(image - mean[:, None, None]) / std[:, None, None]": (
                    "(image - mean[None, None, :1]) / std[None, None, :1]"
                )
            },
        ),
        Mistake(
            "The image is divided by 255 first, but mean and standard deviation are those of numbers in 0 … 255.",
            {"(image - mean[:, None, None])": "(image / 255 - mean[:, None, None])"},
        ),
        Mistake(
            "Divided by the variance: the numbers that are given are standard deviations already.",
            {"/ std[:, None, None]": "/ std[:, None, None] ** 2"},
        ),
        Mistake(
            "The mean is subtracted, and nothing is divided by the standard deviation.",
            {" / std[:, None, None]": ""},
        ),
        Mistake(
            "The last pixels are repeated in the padding; the padding is one colour, the mean.",
            {"((0, 0), (0, below), (0, right)))": '((0, 0), (0, below), (0, right)), mode="edge")'},
        ),
        Mistake(
            "The image is normalised by its own mean and deviation; the network was trained with fixed ones.",
            {
                "(image - mean[:, None, None]) / std[:, None, None]": (
                    "(image - image.mean((1, 2), keepdims=True)) / (image.std((1, 2), keepdims=True) + 1e-6)"
                )
            },
        ),
    ],
}
