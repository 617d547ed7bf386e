"""What the paper's equations 7-12 and 18 say, one after the other: the reference of our kernels."""

import math

import torch

MEMBERS = {"tri": "lav", "la": "la", "lv": "lv", "av": "av", "l": "l", "a": "a", "v": "v"}


def seven_softmaxes(q, k, v, key_mask):
    """Seven masked softmaxes, each over just the rows and keys of its modalities.

    q, k and v are (B, H, 3T, h); by name, (B, H, rows of the modalities, h). The mask is (B, T), of all three
    modalities, or (B, 3, T).
    """
    steps, valid_steps = key_mask.shape[-1], of_all_steps(key_mask)
    results = {}
    for name, members in MEMBERS.items():
        index = torch.cat([torch.arange(steps) + steps * "lav".index(m) for m in members])
        logits = q[:, :, index] @ k[:, :, index].transpose(-1, -2) / math.sqrt(q.shape[-1])
        valid = valid_steps[:, index][:, None, None]
        results[name] = logits.masked_fill(~valid, -math.inf).softmax(dim=-1) @ v[:, :, index]
    return results


def of_all_steps(mask):
    """(B, 3T) of a mask (B, T) or (B, 3, T)."""
    return mask.repeat(1, 3) if mask.ndim == 2 else mask.flatten(1)


def plain_forward(module, x, key_mask):
    """The output of a ``CompositeAttention`` without dropout, from its weights."""
    size, steps = len(key_mask), key_mask.shape[-1]
    q, k, v = (
        layer(x).unflatten(-1, (module.heads, -1)).transpose(1, 2)
        for layer in (module.query, module.key, module.value)
    )
    of_modality = {m: [] for m in "lav"}
    for name, result in seven_softmaxes(q, k, v, key_mask).items():
        mapped = module.after_attention[name](result.transpose(1, 2).reshape(size, -1, x.shape[-1]))
        for place, m in enumerate(MEMBERS[name]):
            of_modality[m].append(mapped[:, steps * place : steps * (place + 1)])
    return module.out(torch.cat([module.merge[m](torch.cat(of_modality[m], dim=2)) for m in "lav"], dim=1))


def plain_divergence(teacher, student, mask):
    """KL between whole matrices of ``AttentionLogits``, summed over valid rows, heads and utterances."""
    valid = of_all_steps(mask)
    log_p, log_q = (
        logits.matrix().masked_fill(~valid[:, None, None], -1e30).log_softmax(dim=-1)
        for logits in (teacher.detach(), student)
    )
    difference = (log_p - log_q).masked_fill(~valid[:, None, None], 0)
    rows = (log_p.exp() * difference).sum(dim=-1)
    return rows.masked_fill(~valid[:, None], 0).sum()
