"""Wrong answers to lesson 25, and what each of them misunderstands."""

from minisam.lesson.mistakes import Mistake

FROZEN = "y = x @ weight.T + bias"
FORWARD_LOOP = "for part, a_rc, b_dr in zip(parts, a, b, strict=True):\n        y["
ADDED = "y[:, D * part : D * (part + 1)] += scale * ((x @ a_rc.T) @ b_dr.T)"
COPY = "merged = weight.copy()"
FORWARD_D = "D = b.shape[1]\n    for part, a_rc, b_dr in zip(parts, a, b, strict=True):\n        y["
MERGE_D = "D = b.shape[1]\n    for part, a_rc, b_dr in zip(parts, a, b, strict=True):\n        merged["
MERGE_LOOP = "for part, a_rc, b_dr in zip(parts, a, b, strict=True):\n        merged["
MERGED = "merged[D * part : D * (part + 1)] += scale * (b_dr @ a_rc)"
GRAD_A = "grad_a = scale * (grad_y @ b).T @ x"
GRAD_B = "grad_b = scale * grad_y.T @ (x @ a.T)"
SIDE_BY_SIDE = "return np.concatenate([grad_a, grad_b.T], axis=1)"
SAME_BIAS = "self.weight, self.bias = frozen.weight, frozen.bias"
CALL = "q, k, v = self.frozen(x).chunk(3, dim=-1)"
Q = "q = q + self.scale * (x @ self.a[0].T @ self.b[0].T)"
V = "v = v + self.scale * (x @ self.a[1].T @ self.b[1].T)"
PADDING = "padding = qkv.bias if qkv.bias is not None else x.new_zeros(qkv.out_features)"
WINDOW = "S = window_size\n    padding"
REAL = "grid[:, :H, :W] = qkv(x)"
ATTENDED = "attended = F.scaled_dot_product_attention(q, k, v).unflatten(3, (S, S))"
CROPPED = "return attended.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :H, :W]"
ANSWER = "return attend_in_windows(x, Adapted(linear(weight, bias), a, b, scale), window_size)"

WRONG = {
    "lora_forward": [
        Mistake("The scale is missing: y = W x + b + s · B (A x).", {ADDED: ADDED.replace("scale * ", "")}),
        Mistake(
            "The update is divided by the rank. Some libraries set s = α / r; here s is given, and used as it is.",
            {ADDED: ADDED.replace("scale * ", "scale / len(a_rc) * ")},
        ),
        Mistake("The bias is missing. LoRA leaves it where it is.", {FROZEN: "y = x @ weight.T"}),
        Mistake(
            "The frozen layer is missing. LoRA adds to W x + b; it does not replace it.",
            {FROZEN: "y = np.zeros((len(x), len(weight)), x.dtype)"},
        ),
        Mistake(
            "The updates are in the first parts, one after the other. Update number i belongs to part parts[i].",
            {FORWARD_LOOP: FORWARD_LOOP.replace("zip(parts,", "zip(range(len(parts)),")},
        ),
        Mistake(
            "The updates are sorted by part. Their order is that of `parts`: a[i] and b[i] belong to parts[i].",
            {FORWARD_LOOP: FORWARD_LOOP.replace("zip(parts,", "zip(sorted(parts),")},
        ),
        Mistake(
            "All parts get the first update. Each adapted part has its own A and B.",
            {
                FORWARD_LOOP: FORWARD_LOOP.replace(
                    "zip(parts, a, b, strict=True)",
                    "zip(parts, [a[0]] * len(a), [b[0]] * len(b), strict=True)",
                )
            },
        ),
        Mistake(
            "A of the first part is shared by all. Each adapted part has its own A and B.",
            {FORWARD_LOOP: FORWARD_LOOP.replace("zip(parts, a,", "zip(parts, [a[0]] * len(a),")},
        ),
        Mistake(
            "All parts are updated. Parts that are not in `parts` stay as they are.",
            {ADDED: "y += scale * np.tile((x @ a_rc.T) @ b_dr.T, len(weight) // D)"},
        ),
        Mistake(
            "The parts are interleaved: every P-th channel. A part is D channels side by side: D·p to D·(p + 1).",
            {ADDED: ADDED.replace("y[:, D * part : D * (part + 1)]", "y[:, part :: len(weight) // D]")},
        ),
        Mistake(
            "The parts are counted from the end of the channels. Part 0 has the first D.",
            {
                ADDED: ADDED.replace(
                    "y[:, D * part : D * (part + 1)]", "y[:, ::-1][:, D * part : D * (part + 1)]"
                )
            },
        ),
        Mistake("The update is subtracted.", {ADDED: ADDED.replace("+=", "-=")}),
        Mistake(
            "The update replaces the frozen part. It is added to it.",
            {ADDED: ADDED.replace("+=", "=")},
        ),
        Mistake(
            "The bias goes through the update as well: B A (x + …). The update has only x as its input.",
            {
                ADDED: ADDED.replace(
                    "scale * ((x @ a_rc.T) @ b_dr.T)",
                    "scale * ((x @ a_rc.T) @ b_dr.T + bias[D * part : D * (part + 1)])",
                )
            },
        ),
        Mistake(
            "There is a ReLU between A and B. LoRA is linear: otherwise it could not be merged.",
            {ADDED: ADDED.replace("(x @ a_rc.T)", "np.maximum(x @ a_rc.T, 0)")},
        ),
        Mistake(
            "Only the first direction of A and B is used. The update has rank r: all r of them are summed.",
            {ADDED: ADDED.replace("(x @ a_rc.T) @ b_dr.T", "(x @ a_rc[:1].T) @ b_dr[:, :1].T")},
        ),
        Mistake(
            "The updates always go to q and v, and `parts` is not used.",
            {
                FORWARD_LOOP: FORWARD_LOOP.replace(
                    "zip(parts, a, b, strict=True)", "zip((0, 2), a, b, strict=False)"
                )
            },
        ),
        Mistake(
            "The layer is taken to have three parts. D is b.shape[1], for any number of parts.",
            {FORWARD_D: FORWARD_D.replace("b.shape[1]", "len(weight) // 3")},
        ),
        Mistake(
            "A part is taken to have C channels. It has D, b.shape[1]; C is the size of a token x.",
            {FORWARD_D: FORWARD_D.replace("b.shape[1]", "a.shape[2]")},
        ),
    ],
    "lora_merge": [
        Mistake("The scale is missing: W + s · B A.", {MERGED: MERGED.replace("scale * ", "")}),
        Mistake(
            "The update is divided by the rank. s is given, and used as it is.",
            {MERGED: MERGED.replace("scale * ", "scale / len(a_rc) * ")},
        ),
        Mistake(
            "The old weight is overwritten. Copy it first: unmerging needs it, to the bit.",
            {COPY: "merged = weight"},
        ),
        Mistake(
            "This is the update alone. The merged weight is W plus the update.",
            {COPY: "merged = np.zeros_like(weight)"},
        ),
        Mistake("The update is subtracted: that is unmerging.", {MERGED: MERGED.replace("+=", "-=")}),
        Mistake(
            "The update replaces the rows. It is added to them.",
            {MERGED: MERGED.replace("+=", "=")},
        ),
        Mistake(
            "The updates are in the first parts, one after the other. Update number i belongs to part parts[i].",
            {MERGE_LOOP: MERGE_LOOP.replace("zip(parts,", "zip(range(len(parts)),")},
        ),
        Mistake(
            "The updates are sorted by part. Their order is that of `parts`: a[i] and b[i] belong to parts[i].",
            {MERGE_LOOP: MERGE_LOOP.replace("zip(parts,", "zip(sorted(parts),")},
        ),
        Mistake(
            "Only the first update is merged.",
            {MERGE_LOOP: MERGE_LOOP.replace("zip(parts, a, b, strict=True)", "[(parts[0], a[0], b[0])]")},
        ),
        Mistake(
            "All parts get the first update. Each adapted part has its own A and B.",
            {
                MERGE_LOOP: MERGE_LOOP.replace(
                    "zip(parts, a, b, strict=True)",
                    "zip(parts, [a[0]] * len(a), [b[0]] * len(b), strict=True)",
                )
            },
        ),
        Mistake(
            "All parts are updated. Parts that are not in `parts` stay as they are.",
            {MERGED: "merged += scale * np.tile(b_dr @ a_rc, (len(weight) // D, 1))"},
        ),
        Mistake(
            "The parts are interleaved: every P-th row. A part is D rows side by side: D·p to D·(p + 1).",
            {MERGED: MERGED.replace("merged[D * part : D * (part + 1)]", "merged[part :: len(weight) // D]")},
        ),
        Mistake(
            "Only the first direction of A and B is merged. The update is the sum of all r outer products, B A.",
            {MERGED: MERGED.replace("b_dr @ a_rc", "b_dr[:, :1] @ a_rc[:1]")},
        ),
        Mistake(
            "The rows are multiplied by 1 + s. LoRA adds s · B A to them.",
            {MERGED: MERGED.replace("scale * (b_dr @ a_rc)", "scale * merged[D * part : D * (part + 1)]")},
        ),
        Mistake(
            "The updates always go to q and v, and `parts` is not used.",
            {
                MERGE_LOOP: MERGE_LOOP.replace(
                    "zip(parts, a, b, strict=True)", "zip((0, 2), a, b, strict=False)"
                )
            },
        ),
        Mistake(
            "The layer is taken to have three parts. D is b.shape[1], for any number of parts.",
            {MERGE_D: MERGE_D.replace("b.shape[1]", "len(weight) // 3")},
        ),
        Mistake(
            "A part is taken to have C channels. It has D, b.shape[1]; C is the size of a token x.",
            {MERGE_D: MERGE_D.replace("b.shape[1]", "a.shape[2]")},
        ),
        Mistake(
            "The scale is applied twice.",
            {"scale * (b_dr @ a_rc)": "scale**2 * (b_dr @ a_rc)"},
        ),
    ],
    "lora_gradients": [
        Mistake(
            "The scale is missing in dL/dA. It is a factor of the update, and of both gradients.",
            {GRAD_A: GRAD_A.replace("scale * ", "")},
        ),
        Mistake(
            "The scale is missing in dL/dB. It is a factor of the update, and of both gradients.",
            {GRAD_B: GRAD_B.replace("scale * ", "")},
        ),
        Mistake(
            "The scale is missing in both gradients.",
            {GRAD_A: GRAD_A.replace("scale * ", ""), GRAD_B: GRAD_B.replace("scale * ", "")},
        ),
        Mistake(
            "The scale is in dL/dA twice, once too often.",
            {GRAD_A: GRAD_A.replace("scale * ", "scale**2 * ")},
        ),
        Mistake(
            "This is the mean over the tokens. All tokens use the same A and B: their gradients are added.",
            {GRAD_A: GRAD_A + " / len(x)", GRAD_B: GRAD_B + " / len(x)"},
        ),
        Mistake(
            "dL/dy is summed over its channels. To go back through B, it is multiplied by Bᵀ.",
            {GRAD_A: "grad_a = scale * (grad_y @ np.ones_like(b)).T @ x"},
        ),
        Mistake(
            "x is summed over its channels where A x belongs: the input of B is h = A x.",
            {GRAD_B: "grad_b = scale * grad_y.T @ (x @ np.ones_like(a).T)"},
        ),
        Mistake(
            "dL/dA is always zero here, and A would never learn. It is zero only while B is zero, at the first step.",
            {GRAD_A: "grad_a = np.zeros_like(a)"},
        ),
        Mistake(
            "dL/dB is zero. B starts at zero, but its gradient does not: scale · dL/dy (A x)ᵀ.",
            {GRAD_B: "grad_b = np.zeros_like(b)"},
        ),
        Mistake(
            "The signs are turned. A step of training goes against the gradient; the gradient itself has no minus.",
            {GRAD_A: GRAD_A.replace("= scale", "= -scale"), GRAD_B: GRAD_B.replace("= scale", "= -scale")},
        ),
        Mistake(
            "dL/dB stands first. dL/dA comes first, then dL/dB transposed.",
            {SIDE_BY_SIDE: "return np.concatenate([grad_b.T, grad_a], axis=1)"},
        ),
        Mistake(
            "dL/dB is reshaped to [r, D], which mixes its numbers. Transpose it.",
            {SIDE_BY_SIDE: SIDE_BY_SIDE.replace("grad_b.T", "grad_b.reshape(len(a), -1)")},
        ),
        Mistake(
            "Only the first token counts. All tokens use the same A and B: their gradients are added.",
            {GRAD_A: "x, grad_y = x[:1], grad_y[:1]\n    " + GRAD_A},
        ),
        Mistake(
            "A weight decay is added to the gradients. That belongs to the optimiser.",
            {GRAD_A: GRAD_A + " + a", GRAD_B: GRAD_B + " + b"},
        ),
    ],
    "adapted_attention": [
        Mistake(
            "The bug is still there. Find out which tokens are wrong, and what they have in common: B = 0 is enough to "
            "see them.",
            {SAME_BIAS: "self.weight = frozen.weight"},
        ),
        Mistake(
            "The update is applied to the bias. A padded token is 0 before the projection, and B A 0 = 0: its q, k and "
            "v are the frozen layer's bias, without an update.",
            {PADDING: "padding = qkv(qkv.bias[: x.shape[3]])"},
        ),
        Mistake(
            "The padding is masked. In SAM a padded token is a key and a value like any other (lesson 3).",
            {
                ATTENDED: "real = x.new_zeros(1, H + -H % S, W + -W % S)\n"
                "    real[:, :H, :W] = 1\n"
                "    real = real.unflatten(2, (-1, S)).unflatten(1, (-1, S)).transpose(2, 3).flatten(3, 4)\n"
                "    " + ATTENDED.replace("q, k, v)", "q, k, v, attn_mask=(real > 0)[..., None, :])")
            },
        ),
        Mistake(
            "Only the parts that LoRA adapts are padded with the bias. The bias is of q, k and v, adapted or not.",
            {
                PADDING: "padding = torch.cat([qkv.bias[: x.shape[3]], 0 * qkv.bias[: x.shape[3]], "
                "qkv.bias[2 * x.shape[3] :]])"
            },
        ),
        Mistake(
            "The keys are padded with the bias, the values with zeros. v of a padded token is its bias, too.",
            {
                PADDING: "padding = torch.cat([qkv.bias[: 2 * x.shape[3]], x.new_zeros(x.shape[3])])",
            },
        ),
        Mistake(
            "The frozen layer is used alone: the padding is right, and what was trained is lost.",
            {ANSWER: "return attend_in_windows(x, linear(weight, bias), window_size)"},
        ),
        Mistake(
            "The bias is added twice. The frozen layer adds it to the real tokens already.",
            {CALL: "q, k, v = (self.frozen(x) + self.bias).chunk(3, dim=-1)"},
        ),
        Mistake(
            "The bias has moved from the real tokens to the padding. Both have it.",
            {CALL: "q, k, v = F.linear(x, self.weight).chunk(3, dim=-1)"},
        ),
        Mistake(
            "The updates of q and v are exchanged.",
            {
                Q: Q.replace("a[0]", "a[1]").replace("b[0]", "b[1]"),
                V: V.replace("a[1]", "a[0]").replace("b[1]", "b[0]"),
            },
        ),
        Mistake(
            "k is updated in place of v.",
            {V: V.replace("v = v", "k = k")},
        ),
        Mistake(
            "The scale of the update is lost.",
            {Q: Q.replace("self.scale * ", ""), V: V.replace("self.scale * ", "")},
        ),
        Mistake(
            "The padding is above and to the left. SAM pads below and to the right.",
            {
                REAL: "grid[:, -H % S :, -W % S :] = qkv(x)",
                CROPPED: CROPPED.replace("[:, :H, :W]", "[:, -H % S :, -W % S :]"),
            },
        ),
        Mistake(
            "The padding is the mean of the real tokens. It is what the projection makes of zeros.",
            {PADDING: "padding = qkv(x).mean(dim=(0, 1, 2))"},
        ),
        Mistake(
            "The padding repeats the first token of the grid. It is what the projection makes of zeros.",
            {PADDING: "padding = qkv(x[:, 0, 0])[:, None, None]"},
        ),
        Mistake(
            "A window size that always fits is taken: the padding is gone, and tokens see other tokens than before.",
            {WINDOW: "S = max(s for s in range(1, window_size + 1) if H % s == W % s == 0)\n    padding"},
        ),
        Mistake(
            "The update of v is missing: q and v are both adapted.",
            {("        v = v + self.scale * (x @ self.a[1].T @ self.b[1].T)\n"): ""},
        ),
        Mistake(
            "The update of v has no scale.",
            {"v + self.scale * (x": "v + (x"},
        ),
        Mistake(
            "Both updates use the A of q. v has its own, a[1].",
            {"self.a[1].T @ self.b[1].T": "self.a[0].T @ self.b[1].T"},
        ),
    ],
}
