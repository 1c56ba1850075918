"""The main numbers of each figure, apart from the claims, from the rows of its CSV.

`NUMBERS` has a function for each figure, from the rows to entries of three texts: what it is,
the paper's value if it prints one, and ours. In the texts `<br>` begins a line.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rl_keras.papers.verdicts import CLAIMS

Rows = Sequence[Mapping[str, str]]
Entries = Iterable[tuple[str, str, str]]
_SIZES = {claim.key: claim.size for claim in CLAIMS}


def interval(row: Mapping[str, str], digits: int = 0, scale: float = 1.0, mean="mean") -> str:
    """Returns the mean of a row with its interval; without a mean, the value of each seed.

    Example:
        >>> interval({"mean": "1.25", "low": "1.0", "high": "1.5"}, 1)
        '1.2 [1.0, 1.5]'
    """
    if not row[mean]:
        seeds = [row[name] for name in row if name.startswith("seed_") and row[name]]
        return ", ".join("never" if text == "inf" else _text(text, digits) for text in seeds)
    text = _text(row[mean], digits, scale)
    if not row.get("low") or row["low"] == row["high"]:
        return text
    return f"{text} [{_text(row['low'], digits, scale)}, {_text(row['high'], digits, scale)}]"


def _text(value, digits: int, scale: float = 1.0) -> str:
    return f"{scale * float(value):,.{digits}f}"


def _of(rows: Rows, *endings: str, **cells) -> list[Mapping[str, str]]:
    """The rows whose quantity ends so and whose cells are these."""
    return [
        row
        for row in rows
        if row["quantity"].endswith(endings) and all(row[n] == v for n, v in cells.items())
    ]


def _groups(rows: Rows, *columns: str) -> dict[tuple, list[Mapping[str, str]]]:
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name, "") for name in columns), []).append(row)
    return groups


def _named(name: str, text: str) -> str:
    return f"{name}: {text}" if name else text


def _steps(rows: Rows) -> Entries:
    """Steps to a train accuracy or a loss, of every start or variant."""
    chosen = [row for row in rows if row["quantity"].startswith("steps_to_")]
    for (quantity,), group in _groups(chosen, "quantity").items():
        level = quantity.removeprefix("steps_to_")
        level = f"a loss of {level}" if "." in level else f"{level}% train accuracy"
        texts = []
        for row in group:
            name = " ".join(filter(None, (row.get("variant", ""), row["start"])))
            texts.append(f"{row['labels']} labels, {name}: {interval(row)}")
        yield f"steps to {level}", "", "<br>".join(texts)


def _misalignment(rows: Rows) -> Entries:
    rows = [row for row in rows if row["panel"] == "misalignment"]
    for (variant, labels), group in _groups(rows, "variant", "labels").items():
        data, random = _of(group, "/data_basis"), _of(group, "/random_basis")
        if not data:
            continue
        text = f"data basis {_text(data[0]['mean'], 2)} → {interval(data[-1], 2)}"
        text += f"; random bases {_text(random[0]['mean'], 2)} → {_text(random[-1]['mean'], 2)}"
        for name in ("floor", "null"):
            for row in _of(group, f"/{name}")[-1:]:
                text += f"; {name} {_text(row['mean'], 2)}"
        for row in _of(group, "/pooled_p_value"):
            text += f"; p, whole runs flipped, {_text(row['mean'], 3)}"
        what = "misalignment in nats, before training → after it"
        yield what, "", _named(variant or f"{labels} labels", text)


def _transfer(rows: Rows) -> Entries:
    for (variant,), group in _groups(rows, "variant").items():
        printed = [row for row in group if row["quantity"].startswith("paper")]
        pooled = _of(group, "/pooled_transfer")
        if not printed or not pooled:
            continue
        nearest = [
            min(pooled, key=lambda row, x=row["x"]: abs(float(row["x"]) - float(x)))
            for row in printed
        ]
        places = ", ".join(f"{float(row['x']):g}" for row in printed)
        paper, ours = (
            " ".join(_text(row["mean"], 3).removeprefix("0") for row in rows)
            for rows in (printed, nearest)
        )
        where = printed[0]["quantity"].removeprefix("paper (").replace(")", "")
        yield f"transfer function f at {places}", f"{paper} ({where})", _named(variant, ours)


def _filters(rows: Rows) -> Entries:
    totals = {row["quantity"]: row for row in rows if row["panel"] == "totals"}
    match, null = (_text(totals[n]["value"], 3) for n in ("matched_overlap", "matched_null"))
    what = "mean squared overlap of matched eigenvectors of filters and data"
    yield what, _SIZES["fig3_eigenvectors"], f"{match}; random bases {null}"
    flipped, random, misaligned = (
        interval(totals[name], 1, mean="value")
        for name in ("flipped_runs", "random_bases", "misalignment")
    )
    text = f"{misaligned}; random bases {random}; null, whole runs flipped, {flipped}"
    text += f", p {_text(totals['p_value']['value'], 3)}"
    yield "misalignment in nats of the pooled filters", "", text


def _depths(rows: Rows) -> Entries:
    panels = {"area": "mean train accuracy", "test": "final test accuracy"}
    for panel, what in panels.items():
        chosen = [row for row in rows if row["panel"] == panel and row["start"]]
        texts = []
        for (start,), group in _groups(chosen, "start").items():
            texts.append(f"{start} {', '.join(interval(row, 1, 100) for row in group)}")
        yield f"{what} in per cent; with 1, 2, ... layers transferred", "", "<br>".join(texts)


def _activations(rows: Rows) -> Entries:
    rare = [row for row in rows if row["panel"] == "rare"]
    for (labels,), group in _groups(rare, "labels").items():
        moments: dict[str, list[float]] = {}
        for row in group:
            moments.setdefault(row["quantity"].rpartition("/")[2], []).append(float(row["mean"]))
        texts = [
            f"{moment.replace('_', ' ')} {100 * sum(values) / len(values):.1f}"
            for moment, values in moments.items()
        ]
        text = f"{labels} labels: {'; '.join(texts)}"
        yield "rarely active units in per cent, mean of the layers", "", text


def _widths(rows: Rows) -> Entries:
    group = [row for row in rows if row["panel"] == "gain"]
    texts = [f"{float(row['x']):g}: {interval(row, 1)}" for row in group]
    yield (
        "gain in mean train accuracy in points, by width of the last layers",
        "",
        "<br>".join(texts),
    )


def _proposition1(rows: Rows) -> Entries:
    texts = []
    for (variant,), group in _groups(rows, "variant").items():
        last = {row["quantity"]: row["value"] for row in group}
        text = f"{variant} {float(last['p_value']):.2g}, {float(last['random_bases_rejected']):.0%}"
        texts.append(text)
    what = "p of the data basis after the last step; share of random bases with p up to 0.05"
    yield what, "", "<br>".join(texts)


def _corruption(rows: Rows) -> Entries:
    for panel, what, key in (
        ("time", "steps to fit random labels, over those of true ones", "zhang_small_factor"),
        ("error", "test error in per cent, true labels → random labels", "zhang_error_rises"),
    ):
        texts = []
        for (network,), group in _groups([r for r in rows if r["panel"] == panel], "start").items():
            group = sorted(group, key=lambda row: float(row["x"]))
            text = interval(group[-1], 2)
            if panel == "error":
                text = f"{_text(group[0]['mean'], 1, 100)} → {_text(group[-1]['mean'], 1, 100)}"
            texts.append(f"{network} {text}")
        yield what, _SIZES[key], "<br>".join(texts)


def _early_stopping(rows: Rows) -> Entries:
    texts = []
    for (variant,), group in _groups(rows, "variant").items():
        final, gain = (_of(group, name, panel="test")[0] for name in ("final", "gain"))
        texts.append(f"{variant} {interval(final, 1, 100)}, gain {interval(gain, 1, 100)}")
    yield "test accuracy in per cent; points gained by the best step", "", "<br>".join(texts)


def _interpolation(rows: Rows) -> Entries:
    for (variant,), group in _groups(rows, "variant").items():
        ends = {row["quantity"]: row for row in group if row["panel"] == "end"}
        texts = [
            f"{name} {interval(ends[f'{kind}/norm'], 1)}, "
            f"{interval(ends[f'{kind}/test_error'], 1, 100)}"
            for kind, name in (
                ("linear", "least norm"),
                ("end", "gradient descent"),
                ("gaussian", "Gaussian kernel"),
            )
        ]
        yield "norm, test error in per cent", "", f"{variant}: {'; '.join(texts)}"


def _regularizers(rows: Rows) -> Entries:
    for (labels,), group in _groups(rows, "labels").items():
        ours, paper = [], []
        for row in group:
            parts = [row["augmentation"]] if row["augmentation"] != "none" else []
            parts += ["weight decay"] if float(row["weight_decay"]) else []
            name = f"{row['network']}, {' and '.join(parts) or 'no regulariser'}"
            test = {bound: row[f"test_{bound}"] for bound in ("mean", "low", "high")}
            ours.append(f"{name}: {_text(row['train_mean'], 1)}, {interval(test, 1)}")
            train = row["published_train"].replace("nan", "failed")
            paper.append(", ".join(filter(None, (train, row["published_test"]))))
        what = f"train, test accuracy in per cent, {labels} labels, in one order"
        yield what, "<br>".join(paper), "<br>".join(ours)


def _memorisation(rows: Rows) -> Entries:
    given, true = (_of(rows, f"corrupted/{name}") for name in ("given", "true"))
    top = max(range(len(true)), key=lambda index: float(true[index]["mean"]))
    end = next((row for row in true[top:] if float(row["mean"]) == 0), true[-1])
    text = f"true class {interval(true[top], 0, 100)} after {true[top]['step']} steps, given label "
    text += f"{_text(given[top]['mean'], 0, 100)}; true class {_text(end['mean'], 0, 100)} after "
    yield "predicted for corrupted examples, in per cent", "", f"{text}{end['step']}"


def _feature_alignment(rows: Rows) -> Entries:
    texts = []
    chosen = [row for row in rows if row["panel"] == "change"]
    for (variant,), group in _groups(chosen, "variant").items():
        seen, identity = _of(group, "/observed"), _of(group, "/identity")
        gaps = [float(a["mean"]) - float(b["mean"]) for a, b in zip(seen, identity, strict=True)]
        for index in (gaps.index(max(gaps)), -1):
            text = f"{interval(seen[index], 2)} (identity {_text(identity[index]['mean'], 2)})"
            texts.append(f"{variant}, step {seen[index]['step']}: {text}")
    what = "correlation of the filters' change with the average gradient outer product"
    yield what, "", "<br>".join(texts)


def _similarity(rows: Rows) -> Entries:
    cka = [row for row in rows if row["measure"] == "cka"]
    layers = list(dict.fromkeys(row["layer"] for row in cka))
    texts = []
    for (pair,), group in _groups(cka, "pair").items():
        values = " ".join(f"{float(row['mean']):.2f}" for row in group)
        texts.append(f"{pair} {values}")
    yield f"centred kernel alignment of {', '.join(layers)}", "", "<br>".join(texts)


def _label_noise(rows: Rows) -> Entries:
    texts = [f"{float(row['x']):.2f}: {interval(row, 2)}" for row in _of(rows, "implied")]
    yield "share of false labels: the share that the agreement implies", "", "<br>".join(texts)


def _energy_profile(rows: Rows) -> Entries:
    for (variant, panel), group in _groups(rows, "variant", "panel").items():
        names = ("linear_network", "constant")
        cosines = [_text(_of(group, f"/{name}_cosine")[0]["mean"], 3) for name in names]
        text = f"{cosines[0]}, {cosines[1]}"
        text += f"; p of the former among other humps {_text(_of(group, '/hump_p')[0]['mean'], 2)}"
        what = (
            f"energy profile of the {panel}: cosine with the curve of a linear network, a constant"
        )
        yield what, "", f"{variant}: {text}"


NUMBERS: dict[str, Callable[[Rows], Entries]] = {
    "transfer_speed": _steps,
    "initialisations": _steps,
    "convergence": _steps,
    "overview": _misalignment,
    "misalignment": _misalignment,
    "transfer_function": _transfer,
    "filters": _filters,
    "depths": _depths,
    "activations": _activations,
    "widths": _widths,
    "proposition1": _proposition1,
    "corruption": _corruption,
    "early_stopping": _early_stopping,
    "interpolation": _interpolation,
    "regularizers": _regularizers,
    "memorisation": _memorisation,
    "feature_alignment": _feature_alignment,
    "similarity": _similarity,
    "label_noise": _label_noise,
    "energy_profile": _energy_profile,
}
