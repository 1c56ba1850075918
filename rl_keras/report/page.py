"""Writes the page about all runs of a folder, which needs no other file, and the claims."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rl_keras.papers.claim import VERDICTS
from rl_keras.papers.verdicts import CLAIMS, Verdict, evaluate, write_claims
from rl_keras.papers.verdicts import NAME as CLAIMS_NAME
from rl_keras.report.claims_table import claims_section
from rl_keras.report.markup import Markup, join, tag
from rl_keras.report.run_section import run_section
from rl_keras.results.runs import Run, read_runs
from rl_keras.storage.files import folder, write_bytes

NAME = "report.html"
_PAPERS = (
    (
        "What Do Neural Networks Learn When Trained With Random Labels?",
        "https://arxiv.org/abs/2006.10455",
        " (Maennel et al., NeurIPS 2020)",
    ),
    (
        "Understanding Deep Learning Requires Rethinking Generalization",
        "https://arxiv.org/abs/1611.03530",
        " (Zhang et al., ICLR 2017)",
    ),
)
_MARKS = (
    ("paper", "the paper says so"),
    ("inferred", "inferred from it"),
    ("ours", "our choice"),
    ("changed", "this run differs from the flagfile, or from the default where that is silent"),
    ("default", "the flagfile is silent and the run too"),
)


def write_report(workdir: str) -> str:
    """Writes `claims.json` and `report.html` into a folder and returns what to print.

    Args:
        workdir: the folder of a run, or one that holds such folders.

    Raises:
        UsageError: if no run there has a finished stage.
    """
    top = folder(workdir, "workdir")
    runs, left_out = read_runs(workdir)
    verdicts = evaluate(runs)
    page = render(runs, verdicts, left_out)
    write_claims(top / CLAIMS_NAME, verdicts)
    write_bytes(top / NAME, page.encode())
    counts = {name: sum(v.verdict == name for v in verdicts) for name in VERDICTS}
    text = ", ".join(f"{name}: {count}" for name, count in counts.items())
    lines = [f"verdicts of {len(runs)} {'run' if len(runs) == 1 else 'runs'}: {text}"]
    lines += [f"note: {name} is not in it: {why}" for name, why in left_out.items()]
    return "\n".join([*lines, f"wrote {top / CLAIMS_NAME}", f"wrote {top / NAME}"]) + "\n"


def render(runs: Sequence[Run], verdicts: Sequence[Verdict], left_out: Mapping[str, str]) -> str:
    """Returns the page; the same for the same input, to the byte.

    Args:
        runs: in the order in which they appear.
        verdicts: on the claims.
        left_out: why other runs cannot be read, by name.
    """
    anchors = {run.name: f"run-{number}" for number, run in enumerate(runs, 1)}
    body = [
        tag("h1", "Random labels: what the runs show"),
        tag("p", _introduction()),
        *_contents(runs, anchors, left_out),
        claims_section(CLAIMS, verdicts, anchors),
        tag("p", "Settings of the runs below are marked: ", _legend(), class_="faint"),
        *(run_section(run, anchors[run.name]) for run in runs),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Random labels: {', '.join(run.name for run in runs)}"),
        tag("style", Markup(Path(__file__).with_name("page.css").read_text())),
    ]
    html = tag(
        "html", tag("head", join(head, "\n")), "\n", tag("body", join(body, "\n")), lang="en"
    )
    return f"<!DOCTYPE html>\n{html}\n"


def _introduction():
    links = [join([tag("a", title, href=address), about]) for title, address, about in _PAPERS]
    return join(
        [
            "Claims of ",
            join(links, " and "),
            ", and of some others, beside what was measured. The same verdicts with the value of "
            "each seed are in ",
            tag("code", CLAIMS_NAME),
            ".",
        ]
    )


def _contents(runs, anchors, left_out):
    links = [tag("a", run.name, href=f"#{anchors[run.name]}") for run in runs]
    parts = [tag("p", "Runs: ", join(links, ", "), ".")]
    if left_out:
        items = (tag("li", f"{name}: {why}") for name, why in left_out.items())
        parts += [
            tag("p", "Not in this page, since nothing in them can be read:"),
            tag("ul", *items),
        ]
    return parts


def _legend():
    items = [
        join([tag("span", name, class_=f"mark {name}"), f" {meaning}"]) for name, meaning in _MARKS
    ]
    return join([join(items, "; "), "."])
