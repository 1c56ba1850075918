"""Writes the results into the READMEs, from the committed numbers: no number is typed by hand.

    python -m rl_keras.report.gallery

In `flags/README.md` that is a section for each experiment whose numbers lie in `flags/results`, in
`README.md` the short table. Only what stands between two comments `<!-- begin NAME -->` and
`<!-- end NAME -->` is written; the rest of these files is prose.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rl_keras.papers.claim import VERDICTS, Claim
from rl_keras.papers.maennel import MAENNEL
from rl_keras.papers.verdicts import CLAIMS, Verdict
from rl_keras.papers.zhang import ZHANG
from rl_keras.report.claims_table import effect_text
from rl_keras.report.committed import FLAGFILES, read_tables, read_verdicts
from rl_keras.report.figure_numbers import NUMBERS
from rl_keras.report.pictures import question_of

_TOLD = ("Question", "Differs from the paper", "Cost")  # paragraphs of a flagfile's header
_OTHERS = ("Expect", "Needs", "Outcome", "Checked")
_HEADER = "| What | Paper | Ours [95% interval] | Verdict |\n|---|---|---|---|"
_TOGETHER = re.compile(r"fig1_negative|fig5|fig20")  # experiments that one section tells


def main() -> None:
    """Writes both files."""
    for path, text in pages().items():
        path.write_text(text)
        print(f"wrote {path}")  # noqa: T201


def pages() -> dict[Path, str]:
    """Returns the READMEs with results as they should read, by path."""
    root = FLAGFILES.parent
    verdicts = read_verdicts()
    parts: dict[str, list[str]] = {"maennel": [], "zhang": [], "others": []}
    for names in experiments():
        parts[_paper(names[0])].append(section(names, verdicts))
    sections = {name: "\n\n".join(texts) for name, texts in parts.items()}
    contents = {"flags/README.md": sections, "README.md": {"results": summary(verdicts)}}
    return {
        root / name: filled((root / name).read_text(), parts) for name, parts in contents.items()
    }


def experiments() -> list[list[str]]:
    """Returns the names of the experiments with results, those of one section together."""
    paths = FLAGFILES.glob("results/*/summary.csv")
    groups: dict[str, list[str]] = {}
    for name in sorted((path.parent.name for path in paths), key=_order):
        together = _TOGETHER.match(name)
        groups.setdefault(together[0] if together else name, []).append(name)
    return list(groups.values())


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Returns a text with parts put between their comments.

    Example:
        >>> filled("<!-- begin a -->old<!-- end a -->", {"a": "new"})
        '<!-- begin a -->\\nnew\\n<!-- end a -->'
    """
    for name, part in parts.items():
        begin, end = (f"<!-- {which} {name} -->" for which in ("begin", "end"))
        head, opened, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not opened or not closed:
            raise ValueError(f"expected {begin} and {end} in the text")
        text = f"{head}{begin}\n{part}\n{end}{tail}"
    return text


def section(names: Sequence[str], verdicts: Iterable[Verdict]) -> str:
    """Returns the section of one or a few experiments: pictures, question, verdicts, numbers.

    Args:
        names: of the experiments; the first gives the heading, the question and the differences.
        verdicts: on all claims, from all experiments.
    """
    told = {name: header(FLAGFILES / f"{name}.cfg") for name in names}
    first = told[names[0]]
    titles = [f"[{_short(told[name]['title'])}]({name}.cfg)" for name in names]
    text = [f"**{'; '.join(titles)}.**", _capital(first["Question"])]
    for key in _TOLD[1:]:
        paragraphs = {name: told[name][key] for name in names if key in told[name]}
        if len(set(paragraphs.values())) > 1:
            paragraphs = {name: f"`{name}`: {text}" for name, text in paragraphs.items()}
        whole = " ".join(dict.fromkeys(paragraphs.values()))
        text += [f"*{key}:* {whole}"] if whole else []
    text.append(f"<br>{' '.join(picture for name in names for picture in _pictures(name))}")
    lines = [f"### {names[0]}", " ".join(text), "", _HEADER]
    lines += _claims([v for v in told_verdicts(verdicts) if v.run in names])
    return "\n".join([*lines, *_numbers(names)])


def told_verdicts(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Returns the verdicts that sections tell: of a claim those of the experiments on its figure.

    A claim that none of these has measured is told wherever it was.
    """
    told = []
    for claim in CLAIMS:
        of_claim = [v for v in _of_evidence(verdicts) if v.claim is claim]
        of_claim = [v for v in of_claim if _paper(v.run) == _paper_of(claim)] or of_claim
        figures = _figures(claim.source)
        told += [v for v in of_claim if figures & _figures(_title(v.run))] or of_claim
    return told


@functools.cache
def _title(name: str) -> str:
    return header(FLAGFILES / f"{name}.cfg")["title"]


def _figures(text: str) -> set[str]:
    """The figures and tables that a text names, such as `figure 4`, `table 1`, `proposition 1`.

    Example:
        >>> sorted(_figures("Figures 2 and 4 (centre) and Table 1"))
        ['figure 2', 'figure 4', 'table 1']
    """
    matches = re.findall(r"(Figure|Table|Section|Proposition)s? (\w+)(?: and (\d\w*))?", text)
    return {
        f"{kind.lower()} {number}" for kind, *numbers in matches for number in numbers if number
    }


def _short(title: str) -> str:
    """A title without what the headings above it say."""
    paper = r" of (Maennel|Zhang) et al\. \(\w+ \d+\)"
    return re.sub(rf"{paper}|, at the scale of two CPU cores|\.$", "", title)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def header(path: Path) -> dict[str, str]:
    """Returns the paragraphs at the top of a flagfile by their first word, and its `title`.

    A paragraph that begins with none of the words that flagfiles use belongs to nothing.
    """
    parts, name = {"title": []}, "title"
    for line in path.read_text().splitlines():
        if not line.startswith("#") or line.startswith("# ["):
            break
        line = line.removeprefix("#").strip()
        for key in (*_TOLD, *_OTHERS):
            if re.match(rf"{key}[:, ]", line):
                name, line = key, line.removeprefix(key).removeprefix(":").removeprefix(",")
        if not line:
            name = "rest"
        parts.setdefault(name, []).append(line.strip())
    return {name: " ".join(lines) for name, lines in parts.items()}


def summary(verdicts: Sequence[Verdict]) -> str:
    """Returns the table of the figures of both papers, with verdicts and links to the sections."""
    lines = ["| Figure | First claim | Verdicts |", "|---|---|---|"]
    told = told_verdicts(verdicts)
    claims = [claim for claim in CLAIMS if _paper_of(claim) != "others"]
    for source in dict.fromkeys(claim.source for claim in claims):
        of_source = [claim for claim in claims if claim.source == source]
        runs = [v.run for v in told if v.claim in of_source]
        name = runs[0] if runs else _experiment_on(of_source[0])
        decided = [v for v in _of_evidence(verdicts) if v.claim in of_source]
        text = _counts(decided) if decided else _first_number(name)
        anchor = next((group[0] for group in experiments() if name in group), "")
        figure = source.replace(" et al. 2020", "").replace(" et al. 2017", "")
        link = f"[{figure}](flags/README.md#{anchor})"
        lines.append(f"| {link} | {of_source[0].statement} | {text} |")
    return "\n".join(lines)


def _experiment_on(claim: Claim) -> str:
    names = [name for group in experiments() for name in group if _paper(name) == _paper_of(claim)]
    return next(name for name in names if _figures(claim.source) & _figures(_title(name)))


def _first_number(name: str) -> str:
    """What stands for a verdict where the tables cannot decide."""
    for figure, rows in read_tables(FLAGFILES / "results" / name).items():
        for what, _, ours in NUMBERS.get(figure, _none)(rows):
            return f"{what}: {ours}"
    return ""


def _paper_of(claim: Claim) -> str:
    return "maennel" if claim in MAENNEL else "zhang" if claim in ZHANG else "others"


def _of_evidence(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Leaves out undecided verdicts on claims that only some settings must show."""
    return [v for v in verdicts if not (v.claim.of_some and v.verdict == "undecided")]


def _counts(verdicts: Sequence[Verdict]) -> str:
    counts = {name: sum(v.verdict == name for v in verdicts) for name in VERDICTS}
    counts = {name: count for name, count in counts.items() if count}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _order(name: str) -> list:
    return [int(text) if text.isdigit() else text for text in re.split(r"(\d+)", name)]


def _paper(name: str) -> str:
    if name.startswith(("fig", "proposition")):
        return "maennel"
    return "zhang" if name.startswith("zhang") else "others"


def _pictures(name: str) -> Iterable[str]:
    """The pictures in the order of the flagfile, at half the resolution; each links to its file."""
    wanted = re.findall(r"^--figures=(.*)$", (FLAGFILES / f"{name}.cfg").read_text(), re.MULTILINE)
    order = ["finding", *(wanted[0].split(",") if wanted else ())]
    paths = sorted((FLAGFILES / "results" / name).glob("*.png"), key=lambda path: path.stem)
    paths.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    for path in paths:
        address = f"results/{name}/{path.name}"
        alt = f"{path.stem}: {question_of(path.stem)}".removesuffix(": ")
        width = int.from_bytes(path.read_bytes()[16:20], "big") // 2  # of the header of a PNG
        yield f'<a href="{address}"><img src="{address}" width="{width}" alt="{alt}"></a>'


def _claims(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """A row for each claim: what is claimed and measured, the paper's value, ours, the verdict."""
    for claim in dict.fromkeys(verdict.claim for verdict in verdicts):
        of_claim = [verdict for verdict in verdicts if verdict.claim is claim]
        is_mixed = len({verdict.verdict for verdict in of_claim}) > 1
        texts = []
        for verdict in of_claim:
            text = f"{verdict.effect.about}: {effect_text(verdict)}"
            texts.append(f"{text} *{verdict.verdict}*" if is_mixed else text)
        size = "" if claim.size == "not known to us" else f"<br>{claim.size}"
        unit = "" if claim.unit in claim.measured_as else f", in {claim.unit}"
        what = f"{claim.statement}<br>*{claim.measured_as}{unit}*"
        expected = claim.expected.replace(" ", "\u00a0")
        expected += " (our bound)" if claim.bound else ""
        yield _row(what, f"{expected}{size}", "<br>".join(texts), f"**{_counts(of_claim)}**")


def _numbers(names: Sequence[str]) -> Iterable[str]:
    """A row for each kind of numbers."""
    groups: dict[str, list] = {}
    for name in names:
        for figure, rows in read_tables(FLAGFILES / "results" / name).items():
            for what, paper, ours in NUMBERS.get(figure, _none)(rows):
                groups.setdefault(what, []).append((paper, ours))
    for what, entries in groups.items():
        papers = dict.fromkeys(paper for paper, _ in entries if paper)
        yield _row(
            _capital(what), "<br>".join(papers), "<br>".join(ours for _, ours in entries), ""
        )


def _row(*cells: str) -> str:
    """A row of a table; an interval stays in one line, however narrow the column."""
    row = f"| {' | '.join(cells)} |"
    return re.sub(r"[\d.] \[[^\]a-z]*\]", lambda match: match[0].replace(" ", "\u00a0"), row)


def _none(rows) -> tuple:
    return ()


if __name__ == "__main__":
    main()
