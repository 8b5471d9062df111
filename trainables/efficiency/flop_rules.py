"""What one operator of a traced forward pass costs, in WTTF's convention.

The convention is that of "Which Transformer to Favor" (WTTF, section A.3): fvcore's, where a
multiply-add counts 1 and biases nothing, extended by costs per element for what fvcore leaves out.
Arithmetic on integers and booleans (indices, masks) costs nothing. `RULES` extends fvcore's own
rules, and `FREE` extends its list of operators that only move, compare or draw values. An operator
in none of them is reported as uncounted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import log2, prod
from typing import Any

# B = batch, L = queries, S = keys, D = width of a head, Dv = width of a value
Rule = Callable[[Sequence[Any], Sequence[Any]], float | Counter[str]]

# Operators whose whole count is multiply-adds; the counts of others are element-wise arithmetic.
MULTIPLY_ADDS = frozenset(
    ("addbmm", "addmm", "baddbmm", "bmm", "conv", "dot", "einsum", "linear", "matmul", "mm", "mv")
)
_FREE = """
    adaptive_max_pool2d alpha_dropout amax amin argmax argsort bernoulli bernoulli_ broadcast_to
    clamp_max clamp_max_
    clamp_min clamp_min_ clone diagonal empty_like expand_as eye fill_ flip hardtanh hardtanh_
    im2col imag index_select le lift_fresh logical_and logical_not logical_or lt masked_fill_
    masked_select max_pool1d max_pool2d maximum min minimum movedim ne new_ones ones_like pad
    pixel_shuffle pixel_unshuffle rand rand_like randint randn randn_like randperm real
    reflection_pad2d repeat repeat_interleave replication_pad2d scalar_tensor scatter scatter_
    scatter_reduce scatter_reduce_ sort swapaxes take_along_dim tile topk tril triu unflatten
    unfold unsafe_chunk view_as view_as_complex view_as_real where zero_
"""
FREE = frozenset(_FREE.split())


def numel(value: Any) -> int:
    """Elements of a traced floating-point or complex tensor; 0 for anything else."""
    if not value.isCompleteTensor():
        return 0
    dtype = value.type().dtype()
    return prod(value.type().sizes()) if dtype.is_floating_point or dtype.is_complex else 0


def constants(value: Any) -> Any:
    """The number, text or None behind a traced constant; a list of them for a traced list."""
    if value.node().kind() == "prim::ListConstruct":
        return [element.toIValue() for element in value.node().inputs()]
    return value.toIValue()


def elements(of_input: float = 0, of_output: float = 0) -> Rule:
    """A cost per element of the first input, and one per element of the first output."""
    return lambda inputs, outputs: of_input * numel(inputs[0]) + of_output * numel(outputs[0])


def product(first: int) -> Rule:
    """Matrix product of the inputs `first` and `first` + 1, which may be broadcast."""
    return lambda inputs, outputs: numel(outputs[0]) * inputs[first].type().sizes()[-1]


def fourier(cost: float, *, of_output: bool = False) -> Rule:
    """`cost` * n * log2(points of a transform) for a tensor of n elements, the input or output."""

    def rule(inputs: Sequence[Any], outputs: Sequence[Any]) -> float:
        tensor = outputs[0] if of_output else inputs[0]
        shape, dims = tensor.type().sizes(), constants(inputs[2])
        if dims is None:
            dims = range(len(shape))
        points = prod(shape[dim] for dim in ([dims] if isinstance(dims, int) else dims))
        return cost * numel(tensor) * log2(points)

    return rule


def convolution(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
    """One filter of its group per output element (per input element if transposed)."""
    transposed = inputs[6].toIValue() is True  # in `_convolution_mode` this is the groups
    per_element = prod(inputs[1].type().sizes()[1:])
    return Counter(conv=numel(inputs[0] if transposed else outputs[0]) * per_element)


def cumsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> float:
    """n(n-1)/2 for each row of n elements."""
    length = outputs[0].type().sizes()[inputs[1].toIValue()]
    return numel(outputs[0]) * (length - 1) / 2


def fused_attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
    """The cost of the same attention written out: q * scale, q k^T (+ mask), softmax, times v.

    The shapes are q (..., heads, L, D), k (..., key heads, S, D), v (..., key heads, S, Dv). If
    several heads share a key (`enable_gqa`), the heads of q count. A causal mask saves nothing,
    just as when it is written out.
    """
    *batch, L, Dv = outputs[0].type().sizes()
    D, S = inputs[0].type().sizes()[-1], inputs[1].type().sizes()[-2]
    heads = prod(batch)
    return Counter(
        matmul=heads * L * S * (D + Dv),
        softmax=heads * L * S * 5,
        mul=heads * L * D,
        add=heads * L * S if numel(inputs[3]) else 0,
    )


def einsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
    """Multiply-adds of the pairwise contractions in the order that torch takes them."""
    operands, output, sizes = _einsum_terms(
        inputs[0].toIValue(), [value.type().sizes() for value in inputs[1].node().inputs()]
    )
    if len(operands) == 1:
        summed = prod(sizes[index] for index in operands[0])
        return Counter(sum=summed - numel(outputs[0]))
    path = constants(inputs[2]) if len(inputs) > 2 else None
    order = iter(path or (0, 1) * (len(operands) - 1))
    macs = 0
    for pair in zip(order, order, strict=True):
        second, first = (operands.pop(position) for position in sorted(pair, reverse=True))
        macs += prod(sizes[index] for index in first | second)
        operands.append((first | second) & output.union(*operands))
    return Counter(einsum=macs)


def _einsum_terms(
    equation: str, shapes: Sequence[Sequence[int]]
) -> tuple[list[set[str]], set[str], dict[str, int]]:
    """Indices of each operand and of the output, and their sizes; `...` becomes Greek letters."""
    terms, arrow, output = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    operands = []
    for term, shape in zip(terms.split(","), shapes, strict=True):
        hidden = "αβγδεζηθ"[8 - (len(shape) - len(term.replace("...", ""))) :]
        indices = term.replace("...", hidden)
        operands.append(set(indices))
        for index, size in zip(indices, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    if not arrow:
        output = "..." + "".join(index for index in sizes if terms.count(index) == 1)
    if "..." in output:
        output += "".join(index for index in sizes if index in "αβγδεζηθ")
    return operands, set(output) - {"."}, sizes


_ONCE = """
    add cos div elu mul neg reciprocal rsub scatter_add sin softshrink sub
"""
_PER_OUTPUT = dict.fromkeys(_ONCE.split(), 1) | {
    "exp": 20,
    "gelu": 8,
    "log": 20,
    "log_softmax": 5,
    "pow": 3,
    "sigmoid": 22,
    "softmax": 5,
}
_AVERAGES = ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "mean")
_NORMS = ("frobenius_norm", "linalg_vector_norm", "norm")
RULES: dict[str, Rule] = {
    **{name: elements(of_output=cost) for name, cost in _PER_OUTPUT.items()},
    **{f"{name}_": elements(of_output=cost) for name, cost in _PER_OUTPUT.items()},
    **dict.fromkeys(_AVERAGES, elements(of_input=1)),
    **dict.fromkeys(_NORMS, elements(of_input=2, of_output=-1)),
    "sum": elements(of_input=1, of_output=-1),
    "logsumexp": elements(of_input=5),
    **dict.fromkeys(("bmm", "dot", "linear", "matmul", "mm", "mv"), product(0)),
    **dict.fromkeys(("addbmm", "addmm", "baddbmm"), product(1)),
    **{f"fft_{way}fft{dims}": fourier(5) for way in ("", "i") for dims in ("", "2", "n")},
    **{f"fft_rfft{dims}": fourier(2.5) for dims in ("", "2", "n")},
    **{f"fft_irfft{dims}": fourier(2.5, of_output=True) for dims in ("", "2", "n")},
    **dict.fromkeys(("_convolution", "_convolution_mode"), convolution),
    "cumsum": cumsum,
    "einsum": einsum,
    "scaled_dot_product_attention": fused_attention,
}
