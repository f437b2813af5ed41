"""A model of two layers learns with our attention as it does with PyTorch's: the same losses, step by step, within rounding."""

import torch
import torch.nn.functional as F

from kernels.attention_autograd import trainable_attention
from kernels.checks import interpreting

STEPS = 6 if interpreting() else 100
VOCABULARY, WIDTH, NUM_HEADS, SEQLEN, BATCH = (16, 32, 2, 24, 2) if interpreting() else (64, 256, 4, 200, 16)
HALF = torch.float16 if interpreting() else torch.bfloat16
LARGEST_DIFFERENCE = 0.02  # of losses from 3 to 4 down to under 2: two runs that round differently drift apart slowly


def ours(query, key, value):
    return trainable_attention(query, key, value, causal=True)[0]


def pytorch(query, key, value):
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def losses(attention, device):
    generator = torch.Generator().manual_seed(5)

    def weight(*shape):
        return (torch.randn(*shape, generator=generator) * shape[-1] ** -0.5).to(device).requires_grad_()

    embedding, place, unembedding = weight(VOCABULARY, WIDTH), weight(SEQLEN, WIDTH), weight(VOCABULARY, WIDTH)
    layers = [
        (weight(3 * WIDTH, WIDTH), weight(WIDTH, WIDTH), weight(4 * WIDTH, WIDTH), weight(WIDTH, 4 * WIDTH)) for _ in range(2)
    ]
    optimizer = torch.optim.AdamW([embedding, place, unembedding, *(w for layer in layers for w in layer)], lr=3e-3)
    told = []
    for _ in range(STEPS):
        # each sequence repeats its first six tokens: what comes next is found by looking back
        tokens = (
            torch.randint(0, VOCABULARY, (BATCH, 6), generator=generator).repeat(1, SEQLEN // 6 + 2)[:, : SEQLEN + 1].to(device)
        )
        x = embedding[tokens[:, :-1]] + place
        for joint, out, up, down in layers:
            heads = F.linear(F.layer_norm(x, (WIDTH,)), joint).to(HALF).unflatten(-1, (3, NUM_HEADS, -1))
            mixed = attention(*(part.transpose(1, 2) for part in heads.unbind(2))).transpose(1, 2).flatten(2)
            x = x + F.linear(mixed.float(), out)
            x = x + F.linear(F.gelu(F.linear(F.layer_norm(x, (WIDTH,)), up)), down)
        loss = F.cross_entropy(F.linear(F.layer_norm(x, (WIDTH,)), unembedding).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    return torch.tensor(told)


def test_two_layers_learn_as_with_pytorch(device):
    with_ours, with_pytorch = losses(ours, device), losses(pytorch, device)

    assert with_pytorch[-1] < with_pytorch[0] - (0.05 if interpreting() else 1.0)  # something is learnt
    print("losses", [round(loss, 3) for loss in with_ours[:: max(STEPS // 10, 1)].tolist()])
    assert (with_ours - with_pytorch).abs().max() < LARGEST_DIFFERENCE
