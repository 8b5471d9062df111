"""GTP is a loop over edges and patches."""

from typing import Any

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count
from trainables.models.reduction import gtp

pytestmark = pytest.mark.usefixtures("one_thread")
SHELL = {"depth": 4, "dim": 8, "heads": 2, "grid": 4, "qkv_bias": True}
SIZES = {"image_size": 16, "num_classes": 3}
OWN = {"propagated": 3, "theta": 0.7, "alpha": 0.4, "neighbours": 2}
SIDE, M, D = 4, 16, 8


def trunk(**params) -> Any:
    torch.manual_seed(0)
    return models.build("gtp", SHELL | OWN | params, **SIZES).blocks.double()


def tokens() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 1 + M, D, dtype=torch.float64, requires_grad=True)


def graph_by_loops(patches: torch.Tensor, neighbours: int) -> torch.Tensor:
    edges = torch.zeros(M, M, dtype=torch.float64)
    for i in range(M):
        cosines = [torch.cosine_similarity(patches[i], other, dim=0).item() for other in patches]
        others = sorted((j for j in range(M) if j != i), key=lambda j: -cosines[j])
        for j in range(M):
            rows, columns = abs(i // SIDE - j // SIDE), abs(i % SIDE - j % SIDE)
            if max(rows, columns) == 1 or j in others[:neighbours]:
                edges[i, j] = 1  # i receives from j
    degrees = edges.sum(dim=1)
    for i in range(M):
        for j in range(M):
            edges[i, j] /= (degrees[i] * degrees[j]).sqrt()
    return edges


def weights_by_loops(block: Any, q: torch.Tensor, k: torch.Tensor, sizes: list):
    """Of one head, (N, N), with the smallest ones set to 0."""
    scale = q.shape[1] ** -0.5
    rows = []
    for query in q:
        parts = torch.stack(
            [size * (scale * query @ key).exp() for key, size in zip(k, sizes, strict=True)]
        )
        rows.append(parts / parts.sum())
    weights = torch.stack(rows)
    ascending = weights.detach().flatten().sort().values
    smaller = int(len(ascending) * (1 - block.config.theta))  # counted from 1
    least = ascending[max(smaller, 1) - 1]
    return torch.stack([torch.where(row >= least, row, 0 * row) for row in weights])


def sample_by_loops(module: Any, sample: torch.Tensor) -> dict[int, torch.Tensor]:
    """The tokens that are left, by their place in the image; the class token is -1."""
    graph = graph_by_loops(sample[1:], module.neighbours)
    x, sizes = (
        {place - 1: token for place, token in enumerate(sample)},
        dict.fromkeys(range(-1, M), torch.ones((), dtype=torch.float64)),
    )
    for block in module.blocks:
        places, stacked = list(x), torch.stack(list(x.values()))
        q, k, v = block.mixer.qkv(block.norm(stacked)).unflatten(1, (3, 2, -1)).unbind(1)
        every = [sizes[place] for place in places]
        heads = [weights_by_loops(block, q[:, h], k[:, h], every) for h in range(2)]
        mixed = torch.cat([heads[h] @ v[:, h] for h in range(2)], dim=1)
        x = dict(zip(places, stacked + block.mixer.out(mixed), strict=True))
        rank = {
            place: max(w[at, at].item() for w in heads) * max(w[:, at].sum().item() for w in heads)
            for at, place in enumerate(places)
            if place >= 0
        }
        leaving = min(block.config.propagated, len(rank) - 1)
        gone = sorted(rank, key=lambda place: rank[place])[:leaving]
        for place in rank.keys() - gone:
            for other in gone:
                share = block.config.alpha * graph[place, other]
                x[place] = x[place] + share * x[other]
                sizes[place] = sizes[place] + share * sizes[other]
        x = {place: t + block.feed(t) for place, t in x.items() if place not in gone}
    return x


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"theta": 1.0}, {"alpha": 0.0}, {"neighbours": 0}, {"propagated": 9}]
)
def test_equals_loops_with_gradients(changes):
    module, x = trunk(**changes), tokens()
    expected = torch.stack(
        [torch.stack(list(sample_by_loops(module, sample).values())) for sample in x]
    )
    output = module(x)
    left = max(2, 1 + M - 4 * module.blocks[0].config.propagated)
    assert output.shape == (2, left, D)
    assert_exact(output, expected)
    sources, weights = [x, *module.parameters()], torch.randn_like(output)
    ours = torch.autograd.grad((output * weights).sum(), sources)
    assert_exact(ours, torch.autograd.grad((expected * weights).sum(), sources))


@pytest.mark.parametrize(("theta", "kept"), [(0.6, 23_287), (0.5, 19_406), (1.0, 38_809)])
def test_weights_that_are_kept_at_the_published_size(theta, kept):
    weights = torch.rand(1, 2, 197, 197, dtype=torch.float64).add(0.1)
    assert (gtp.sparse(weights, theta) > 0).sum(dim=(2, 3)).tolist() == [[kept, kept]]


def test_who_is_alike_to_whom_is_said_row_by_row():
    module: Any = trunk(neighbours=1)
    patches = torch.randn(1, M, D, dtype=torch.float64)
    # 0 and 15 touch no patch in common, and 15 is alike to 10 more than to 0
    patches[0, 0], patches[0, 15], patches[0, 10] = torch.eye(D).double()[:3]
    patches[0, 15] += patches[0, 0] * 0.5 + patches[0, 10]
    patches[0, 1:10] = -patches[0, 15]
    patches[0, 11:15] = -patches[0, 15]
    graph = module._graph(patches)[0] > 0
    assert bool(graph[0, 15])
    assert not bool(graph[15, 0])


@pytest.mark.parametrize("train", [False, True])
def test_patches_leave_block_by_block(train):
    module, seen = trunk().train(train), []
    for block in module.blocks:
        block.feed.register_forward_hook(
            lambda _module, given, _out: seen.append(given[0].shape[1])
        )
    module(tokens())
    assert seen == [14, 11, 8, 5]


def test_without_propagation_it_is_the_plain_shell():
    torch.manual_seed(0)
    plain = models.build("vit", SHELL, **SIZES).double()
    ours = models.build("gtp", SHELL | OWN | {"propagated": 0, "theta": 1.0}, **SIZES).double()
    state = zip(ours.state_dict(), plain.state_dict().values(), strict=True)
    ours.load_state_dict(dict(state))
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert_exact(ours(images), plain(images))


def test_small_shares_add_up_in_half_precision():
    module, sizes = trunk(alpha=0.01, depth=1).bfloat16(), []
    module.blocks[0].register_forward_hook(lambda _module, _given, out: sizes.append(out[1]))
    module(tokens().detach().bfloat16())
    # bf16 knows no number between 1 and 1.0078
    grown = sizes[0][sizes[0] > 1]
    assert len(grown) > 0
    assert grown.max() < 1.0078


@pytest.mark.slow
def test_published_counts():
    published = {**models.published("gtp")["GTP-ViT-S/16"]}
    with torch.device("meta"):
        model = models.build("gtp", published, image_size=224, num_classes=1000)
    counts = count(model, 224)
    assert counts.params == 22_050_664
    assert counts.gflops == pytest.approx(3.48, abs=0.005)
    assert counts.uncounted == {}


def test_all_that_cannot_be_built_is_told_at_once():
    with pytest.raises(ValueError, match="propagated must be at least 0, given -1") as told:
        trunk(propagated=-1, theta=0.0, alpha=2.0)
    assert "theta must lie in (0, 1], given 0.0" in str(told.value)
    assert "alpha must lie in [0, 1], given 2.0" in str(told.value)
    with pytest.raises(ValueError, match="neighbours=16 must lie between 0 and the 15") as told:
        trunk(neighbours=16, class_depth=1, block="post_norm")
    assert "class_token must be True and class_depth 0" in str(told.value)
    assert "block must be 'pre_norm', given 'post_norm'" in str(told.value)
