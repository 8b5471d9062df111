"""The page of a report: one HTML document that loads nothing, section by section.

Rows are those of `reports.collect`. All text that comes from MLflow is escaped.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from string import Template

from plotly.offline import get_plotlyjs

from reports import figures
from reports.collect import Sweep
from reports.comparison import accuracy_against_cost, disturbances, published_rows
from reports.goals import objectives_front, objectives_of, seeds
from reports.mlflow_contract import REASON_TAGS, SCALARS, YES, Tag
from reports.pareto import ranking
from reports.writing import Row, hyperparameters, lines, number, settings, shared, table, varying
from spaces.space import Point

TOP = 10
_COLUMNS = {
    "best_valid_top1": "validation top-1 (%)",
    "test_top1": "test top-1 (%)",
    "best_epoch": "best epoch",
    "train_seconds_per_epoch": "training per epoch (s)",
    "gpu_hours": "GPU-hours",
    "params": "parameters",
    "gflops": "GFLOPs",
    "throughput_images_per_s": "images/s",
    "throughput_batch_size": "at batch size",
    "latency_ms": "latency, batch 1 (ms)",
    "inference_peak_memory_bytes": "inference memory (MiB)",
    "training_peak_memory_bytes": "training memory (MiB)",
}
_FACTS = (Tag.GIT_SHA, Tag.DATA_SHA256, Tag.EFFICIENCY_DEVICE)
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:;
 script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.55 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 1100px; margin: 2.5rem auto 5rem; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; }
p { max-width: 50rem; margin: .5rem 0; }
.lead { font-size: 1.12rem; }
.quiet { color: #5f6670; font-size: .88rem; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.4; min-width: 100%; }
th, td { padding: .36rem .5rem; text-align: left; vertical-align: top; max-width: 28rem;
  border-bottom: 1px solid #e6e8eb; overflow-wrap: break-word; white-space: pre-wrap; }
th { vertical-align: bottom; font-weight: 600; border-bottom: 1px solid #8b929a; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th.number { min-width: 3rem; }
td.number, td.word { white-space: nowrap; }
.sentence { min-width: 22rem; }
summary { cursor: pointer; margin: .8rem 0; }
</style>
<script>$plotly</script></head>
<body>$body</body></html>
""")


def page(
    sweep: Sweep, trials: Sequence[Row], curves: Sequence[Row], published: Sequence[Point]
) -> str:
    """The whole document."""
    body = (
        _headline(sweep, trials),
        _best(trials),
        objectives_front(trials, objectives_of(sweep.tags)),
        seeds(trials),
        "<h2>Learning curves</h2>",
        figures.drawing(figures.learning_curves(trials, curves), "No trial has finished an epoch."),
        accuracy_against_cost(trials, published),
        published_rows(sweep, trials, published),
        _failures(trials),
        _missing(trials),
        _conditions(sweep, trials),
    )
    title = f"{escape(sweep.name)} – sweep report"
    return _PAGE.substitute(title=title, plotly=get_plotlyjs(), body="".join(body))


def _headline(sweep: Sweep, trials: Sequence[Row]) -> str:
    counts = Counter(trial["state"] for trial in trials)
    tally = ", ".join(f"{counts[state]} {state}" for state in figures.ordered(counts))
    scene = f"{sweep.variant} on {sweep.images}. Trials: {tally or 'none'}."
    return (
        f'<h1>{escape(sweep.name)}</h1><p class="lead">{escape(scene)}</p>'
        f'<p class="lead">{escape(_verdict(trials))}</p>'
    )


def _verdict(trials: Sequence[Row]) -> str:
    ranked = ranking(trials)
    if not ranked:
        return "No trial has a validation accuracy yet."
    best = ranked[0]
    text = {name: number(best[name], name) for name in _COLUMNS}
    test = "not tested" if best["test_top1"] is None else f"test {text['test_top1']}\u00a0%"
    words = {"params": "parameters", "gflops": "GFLOPs", "throughput_images_per_s": "images/s"}
    costs = [f"{text[name]} {word}" for name, word in words.items() if best[name] is not None]
    if best["throughput_images_per_s"] is not None and best[Tag.EFFICIENCY_OTHER_LOAD] == YES:
        costs[-1] += " (while other programs used the machine)"
    return (
        f"The best {best['state']} trial, {best['trial_key']}, reaches "
        f"{text['best_valid_top1']}\u00a0% validation accuracy ({test}) with "
        f"{settings(hyperparameters(best, varying(trials)))}."
        + (f" Its cost: {', '.join(costs)}." if costs else "")
    )


def _best(trials: Sequence[Row]) -> str:
    names = varying(trials)
    best = ranking(trials)[:TOP]
    ranked = [(f"#{rank}", trial["trial_key"], trial) for rank, trial in enumerate(best, 1)]
    results = [
        [rank, key, trial["state"], *(number(trial[name], name) for name in _COLUMNS)]
        for rank, key, trial in ranked
    ]
    params = [
        [rank, key, *map(number, hyperparameters(trial, names).values())]
        for rank, key, trial in ranked
    ]
    head = ["rank", "trial", "state", *_COLUMNS.values()]
    timed = [trial for trial in best if trial["latency_ms"] is not None]
    return (
        f"<h2>Best trials</h2>{table(head, results, 'No trial has a validation accuracy yet.')}"
        f"{table(['rank', 'trial', *names], params)}"
        '<p class="quiet">Complete trials, ordered by the validation accuracy of their best epoch '
        "(all trials while none is complete); a tie goes to fewer parameters. Every trial had: "
        f"{escape(settings(shared(trials)) or 'nothing')}. {escape(' '.join(disturbances(timed)))} "
        "All trials are in trials.parquet, their epochs in curves.parquet.</p>"
    )


def _failures(trials: Sequence[Row]) -> str:
    names = varying(trials)
    rows = [
        [
            trial["trial_key"],
            trial["state"],
            trial["reason"] or "no reason was recorded",
            number(trial["epochs"]),
            settings(hyperparameters(trial, names)),
        ]
        for trial in trials
        if trial["state"] in {"failed", "infeasible"}
    ]
    head = ["trial", "state", "reason", "epochs", "hyperparameters"]
    return (
        f"<h2>Failures</h2>{table(head, rows, 'No trial failed or was infeasible.')}"
        "<p>Configurations that the search refused before training, because they break a rule or "
        "need too many GFLOPs, have no run in MLflow and are not counted in this report.</p>"
    )


def _missing(trials: Sequence[Row]) -> str:
    complete = [trial for trial in trials if trial["state"] == "complete"]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in SCALARS:
        reasons = Counter(
            (trial[REASON_TAGS[name]] if name in REASON_TAGS else None) or "no reason was recorded"
            for trial in complete
            if trial[name] is None
        )
        if reasons:
            why = "\n".join(f"{reason} (trials: {count})" for reason, count in reasons.items())
            groups.setdefault((f"{reasons.total()} of {len(complete)}", why), []).append(name)
    rows = [[", ".join(names), count, why] for (count, why), names in groups.items()]
    head = ["metric", "missing in complete trials", "reason"]
    return (
        "<h2>What was not measured</h2>"
        + table(head, rows, "No number is missing from a complete trial.")
        + "<p>Other trials are not tested; cells for what was not measured of them are empty.</p>"
    )


def _conditions(sweep: Sweep, trials: Sequence[Row]) -> str:
    facts = {"sweep started": f"{sweep.started:%Y-%m-%d %H:%M} UTC", "MLflow run": sweep.run_id}
    if sweep.namesakes:
        facts["same name"] = f"{sweep.namesakes} older parent runs, which are not in this report"
    keys = Counter(trial["trial_key"] for trial in trials)
    if twins := [key for key, count in keys.items() if count > 1]:
        facts["trials with several runs"] = f"{', '.join(twins)}; each run is a row of its own"
    for name in _FACTS:
        counts = Counter(trial[name] or "not recorded" for trial in trials)
        found = (f"{lines(value)} (trials: {count})" for value, count in counts.items())
        facts[name] = "\n".join(found) or sweep.tags.get(name, "not recorded")
    said = {Tag.KIND, Tag.SWEEP, Tag.VARIANT, *_FACTS}
    for name, value in sorted({**sweep.params, **sweep.tags}.items()):
        if not name.startswith("mlflow.") and name not in said:
            facts[name] = lines(value)
    facts["report written"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"<h2>Conditions</h2>{table(['condition', 'value'], list(facts.items()))}"
