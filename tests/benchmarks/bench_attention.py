"""The composite attention layer and its distillation loss, forward and backward, against plain ones.

``plain`` computes what equations 7-12 of the paper say, one after the other: S = QK^T / sqrt(h) once; for
each of the seven attentions the keys outside its modalities are masked in the full 3T x 3T matrix, then come
a softmax, a product with all values, and its linear layer for the rows of its modalities. ``cropped`` takes
each attention on just its own rows and keys, so that no masked value is computed, and ``fused`` gives these
to PyTorch's scaled_dot_product_attention. All have the parameters of ``own`` and plain autograd.

``python bench_attention.py`` prints the tables; with the word ``small`` it takes a minute, at small sizes.
"""

import math
import sys
import time
from pathlib import Path

from measure import in_process, machine, report, table

HEADS, WIDTH = 8, 32
SETTING = (128, 50)
#: Every row is measured this long at least, and its best run counts: others may use the machine too.
LEAST_S = 5.0
KINDS = ("own", "plain", "cropped", "fused")
SIZES = [(128, 16), (32, 25), (32, 50), (32, 100), (64, 50), (128, 50)]
SMALL_SETTING = (32, 25)
SMALL_SIZES = [(16, 12), (16, 25), (16, 50), (32, 25), (64, 25)]
SMALL_S = 0.5


def run(threads=2, repeats=10, setting=SETTING, sizes=SIZES, least_s=LEAST_S):
    def measured(kind, size, steps, dropout=0.0):
        return in_process(__file__, kind, size, steps, dropout, threads, repeats, least_s)

    rows = []
    for dropout in (0.0, 0.1):
        results = {
            kind: measured(kind, *setting, dropout) for kind in KINDS if dropout == 0 or kind != "fused"
        }
        own = results["own"]
        for kind, result in results.items():
            rows.append(
                (
                    kind,
                    dropout,
                    f"{1000 * result['seconds']:.0f}",
                    f"{result['seconds'] / own['seconds']:.1f}",
                    f"{result['growth_mib']:.0f}",
                    _ratio(result["growth_mib"], own["growth_mib"]),
                    f"{result['output']:.0e}",
                    f"{result['gradient']:.0e}",
                )
            )
    table(
        f"Composite attention layer, forward and backward: B = {setting[0]}, 3 x {setting[1]} steps, {HEADS} "
        f"heads, width {WIDTH}, float32, {threads} threads, best of {repeats}",
        ("what", "dropout", "ms", "times own", "MiB", "times own", "output differs", "gradients differ"),
        rows,
    )
    rows = []
    for size, steps in sizes:
        own, plain = (measured(kind, size, steps) for kind in ("own", "plain"))
        pairs = ((1000, "seconds"), (1, "growth_mib"))
        cells = [f"{scale * result[key]:.0f}" for scale, key in pairs for result in (plain, own)]
        ratios = [_ratio(plain[key], own[key]) for _, key in pairs]
        rows.append((size, steps, *cells[:2], ratios[0], *cells[2:], ratios[1]))
    table(
        "The same as it grows",
        ("B", "T", "plain, ms", "own, ms", "ratio", "plain, MiB", "own, MiB", "ratio"),
        rows,
    )
    own, plain = (measured(kind, *setting) for kind in ("own-divergence", "plain-divergence"))
    table(
        "Divergence of the last layer's attention, forward and backward, same sizes",
        ("what", "ms", "MiB", "differs"),
        [
            (
                kind,
                f"{1000 * result['seconds']:.0f}",
                f"{result['growth_mib']:.0f}",
                f"{result['output']:.0e}",
            )
            for kind, result in (("own", own), ("plain", plain))
        ],
    )


def _ratio(one, other):
    """Times; memory that did not grow to be seen has none."""
    return f"{one / other:.1f}" if other > 0 else "-"


def _memory(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {name} on this system")


def _part(kind, size, steps, dropout, threads, repeats, least_s):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(1)
    kind, _, divergence = kind.partition("-")
    once = (
        _divergence(kind, size, steps, random) if divergence else _layer(kind, size, steps, dropout, random)
    )
    small = _differences(kind, bool(divergence))
    before = _memory("VmRSS")
    seconds = []
    while len(seconds) < repeats or sum(seconds) < least_s:
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    report(seconds=min(seconds), growth_mib=_memory("VmHWM") - before, **small)


def _layer(kind, size, steps, dropout, random):
    """Forward and backward of one layer."""
    import torch

    layer = _layers(dropout)[kind]
    x = torch.randn(size, 3 * steps, WIDTH, generator=random, requires_grad=True)
    upstream = torch.randn(x.shape, generator=random)
    mask = torch.ones(size, steps, dtype=torch.bool)

    def once():
        layer.zero_grad()
        x.grad = None
        layer(x, mask)[0].backward(upstream)

    return once


def _divergence(kind, size, steps, random):
    import torch

    from cider.model.attention import AttentionLogits
    from cider.training.losses import attention_divergence

    shape = (4, size, 3 * steps, HEADS, WIDTH // HEADS)
    query, key, other_query, other_key = torch.randn(shape, generator=random).unbind()
    student = AttentionLogits(query.requires_grad_(), key.requires_grad_())
    teacher = AttentionLogits(other_query, other_key)
    mask = torch.ones(size, steps, dtype=torch.bool)
    function = attention_divergence if kind == "own" else plain_divergence

    def once():
        query.grad = key.grad = None
        loss = function(teacher, student, mask)
        loss.backward()
        return loss, query.grad, key.grad

    return once


def plain_divergence(teacher, student, mask):
    """Softmax and KL of the whole matrices."""
    rows = mask.repeat(1, 3)
    log_p, log_q = (
        logits.matrix().masked_fill(~rows[:, None, None], -1e9).log_softmax(dim=-1)
        for logits in (teacher, student)
    )
    return ((log_p.exp() * (log_p - log_q)).sum(dim=-1) * rows[:, None]).sum(dim=-1).mean()


def _differences(kind, divergence):
    """Largest differences from ``own`` on a batch of mixed lengths, see ``_apart``."""
    import torch

    random = torch.Generator().manual_seed(2)
    if divergence:
        one, other = (_divergence(name, 4, 20, torch.Generator().manual_seed(2))() for name in ("own", kind))
        return {"output": max(_apart(a, b) for a, b in zip(one, other, strict=True))}
    layers = _layers(0.0)
    x = torch.randn(6, 60, WIDTH, generator=random, requires_grad=True)
    mask = torch.arange(20) < torch.tensor([20, 3, 11, 1, 15, 20])[:, None]
    upstream = torch.randn(x.shape, generator=random) * mask.repeat(1, 3).unsqueeze(-1)
    outputs, gradients = [], []
    for layer in (layers["own"], layers[kind]):
        output = layer(x, mask)[0]
        outputs.append(output * (upstream != 0))
        gradients.append(torch.autograd.grad(output, [x, *layer.parameters()], upstream))
    pairs = zip(*gradients, strict=True)
    return {"output": _apart(*outputs), "gradient": max(_apart(one, other) for one, other in pairs)}


def _apart(one, other):
    """Absolute below one, relative above."""
    return ((one - other).abs() / other.abs().clamp(min=1)).max().item()


def _layers(dropout):
    """A layer of each kind, all with the same weights."""
    import torch
    from torch.nn import functional

    from cider.model.attention import MODALITIES, CompositeAttention
    from cider.model.kernels.composite_kernel import ATTENTIONS

    class Plain(CompositeAttention):
        def forward(self, x, key_mask):
            q, k, v = (
                layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
            attended = self.attend(q, k, v, key_mask)
            mapped = {
                name: self.after_attention[name](result.transpose(1, 2).flatten(2)).unflatten(
                    1, (len(ATTENTIONS[name]), -1)
                )
                for name, result in attended.items()
            }
            merged = []
            for block, modality in enumerate(MODALITIES):
                parts = [
                    mapped[name][:, blocks.index(block)]
                    for name, blocks in ATTENTIONS.items()
                    if block in blocks
                ]
                merged.append(self.merge[modality](torch.cat(parts, dim=-1)))
            return self.out(torch.cat(merged, dim=1)), None

        def attend(self, q, k, v, key_mask):
            steps = key_mask.shape[1]
            logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            results = {}
            for name, blocks in ATTENTIONS.items():
                inside = torch.tensor([block in blocks for block in range(3)]).repeat_interleave(steps)
                keys = key_mask.repeat(1, 3) & inside
                weights = logits.masked_fill(~keys[:, None, None], -math.inf).softmax(dim=-1)
                if name == "tri":
                    weights = functional.dropout(weights, self.dropout)
                results[name] = (weights @ v)[:, :, inside]
            return results

    class Cropped(Plain):
        def attend(self, q, k, v, key_mask):
            results = {}
            for name, blocks in ATTENTIONS.items():
                q_own, k_own, v_own = (
                    torch.cat([x.unflatten(2, (3, -1))[:, :, block] for block in blocks], dim=2)
                    for x in (q, k, v)
                )
                keys = key_mask.repeat(1, len(blocks))[:, None, None]
                dropout = self.dropout if name == "tri" else 0.0
                results[name] = self.softmax_product(q_own, k_own, v_own, keys, dropout)
            return results

        @staticmethod
        def softmax_product(q, k, v, keys, dropout):
            logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            return functional.dropout(logits.masked_fill(~keys, -math.inf).softmax(dim=-1), dropout) @ v

    class Fused(Cropped):
        @staticmethod
        def softmax_product(q, k, v, keys, dropout):
            return functional.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout)

    kinds = zip(KINDS, (CompositeAttention, Plain, Cropped, Fused), strict=True)
    layers = {name: kind(width=WIDTH, heads=HEADS, dropout=dropout) for name, kind in kinds}
    for layer in layers.values():
        layer.load_state_dict(layers["own"].state_dict())
    return layers


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(machine())
        run()
    elif sys.argv[1:] == ["small"]:
        print(machine())
        run(threads=1, repeats=2, setting=SMALL_SETTING, sizes=SMALL_SIZES, least_s=SMALL_S)
    else:
        kind, size, steps, dropout, threads, repeats, least_s = sys.argv[1:]
        _part(kind, int(size), int(steps), float(dropout), int(threads), int(repeats), float(least_s))
