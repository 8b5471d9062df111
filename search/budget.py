"""The budget of a sweep, in words: how much is tried, and what ends it."""

from search import objectives
from search.plan import Plan


def header(plan: Plan) -> list[str]:
    """The first lines about a sweep: what is tried, how much of it, and within which limits."""
    number = "" if plan.trials is None else f"{plan.trials} "
    size = f"{number}trials of at most {plan.epochs} epochs at {plan.image_size} px"
    limits = [objectives.limited(name, limit) for name, limit in plan.limits.items()]
    of = [f"sweep {plan.sweep}: {plan.variant} on {plan.data_name}", size, *limits, *ends(plan)]
    lines = [", ".join(of)]
    if plan.objectives != objectives.DEFAULT:
        lines.append(f"objectives: {', '.join(f'{n} ({w})' for n, w in plan.directions.items())}")
    return lines


def ends(plan: Plan) -> list[str]:
    """What ends the sweep, besides the number of its trials."""
    told = {
        "at most {} epochs in all": plan.total_epochs,
        "at most {:g} h": plan.hours,
        "at most {:g} GPU hours": plan.gpu_hours,
        f"until {plan.learned[0]} is {{:g}}": plan.target,
    }
    found = [text.format(number) for text, number in told.items() if number is not None]
    return found + ["until settled"] * plan.until_settled
