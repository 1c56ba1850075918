"""The page: whole in one file, escaped, the same bytes for the same runs."""

import base64
import html.parser
import json
import sys

import numpy as np
import pytest

import main
from rl_keras.errors import UsageError
from rl_keras.report.markup import Markup, join, tag
from rl_keras.report.page import write_report
from rl_keras.report.pictures import question_of
from rl_keras.report.run_section import seeds_text
from rl_keras.results.runs import read_runs
from rl_keras.settings.experiment import from_values
from rl_keras.settings.variants import expand
from rl_keras.storage.run_folder import RunDirectory, stage_keys

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
NAMES = ("final_train_accuracy", "final_test_accuracy", "area_under_train_curve")


class Page(html.parser.HTMLParser):
    """The tags of a page, its text outside of the style sheet, and whether tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in ("meta", "br", "img", "wbr"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        if "style" not in self.open:
            self.text.append(text)

    def all(self, name):
        return [attributes for own, attributes in self.tags if own == name]


@pytest.fixture
def make(tmp_path):
    """Returns a function that writes a run whose start `pretrained` gains ten points."""

    def make(name="fig5", figures=("overview",), missing=(), **values):
        values = {"experiment": name, "seeds": (0, 1, 2), "figures": figures, **values}
        config = from_values({"workdir": str(tmp_path / "runs" / name), **values})
        top = RunDirectory(tmp_path / "runs" / name)
        top.claim(config, "")
        for variant, own in expand(config).items():
            run = RunDirectory(top.path / variant)
            run.claim(own, "")
            for key in stage_keys(own):
                if key.name not in missing:
                    row = {"start": key.start, "labels": key.labels, "seed": key.seed}
                    gain = 0.1 * (key.start == "pretrained") + 0.01 * key.seed
                    row |= dict.fromkeys(NAMES, 0.5 + gain) | {"steps_to_80": None}
                    result = {"summary": row, "num_classes": 10}
                    run.finish_stage(key, result, [], {"probe/train/step": np.array([0])})
        return top

    return make


def picture(run, name, content=PNG, variant=""):
    path = run.path / variant / "figures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def page_of(folder):
    write_report(str(folder))
    return Page((folder / "report.html").read_text())


def test_one_file_without_network_or_script(make):
    run = make()
    picture(run, "overview")
    page = page_of(run.path)
    assert not page.open
    assert {"script", "link", "iframe", "object"}.isdisjoint(name for name, _ in page.tags)
    assert [image["src"] for image in page.all("img")] == [
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    ]
    away = [link["href"] for link in page.all("a") if not link["href"].startswith("#")]
    papers = [f"https://arxiv.org/abs/{number}" for number in ("2006.10455", "1611.03530")]
    assert away == papers
    source = (run.path / "report.html").read_text()
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert source.count("http") == len(papers)


def test_links_lead_to_places_on_the_page(make):
    run = make("a")
    make("b")
    page = page_of(run.path.parent)
    places = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(places)) == len(places)
    inner = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    assert inner == {"run-1", "run-2"} <= set(places)


def test_figures_of_the_run_and_of_its_variants_with_those_that_are_missing(make):
    figures = ("overview", "widths", "depths")
    run = make(figures=figures, variants="a: filters=64; b: filters=128")
    picture(run, "widths")
    picture(run, "extra")
    picture(run, "overview", variant="b")
    picture(run, "depths", content=b"half a pict")
    page = page_of(run.path)
    alts = [image["alt"] for image in page.all("img")]
    assert [alt.split(".")[0] for alt in alts] == [
        "Figure widths of fig5",
        "Figure extra of fig5",
        "Figure b: overview of fig5",
    ]
    assert alts[0].endswith("so that pre-training helps rather than hurts?")
    text = "".join(page.text)
    assert "Numbers: b/figures/overview.csv" in text
    assert (
        f"Not drawn yet: depths. To draw: python main.py --mode=draw --workdir={run.path}" in text
    )


def test_stages_that_did_not_memorise_are_named_the_worst_first(make):
    page = page_of(make("a", require_fit=0.611).path)
    assert sum("unfitted" in a.get("class", "") for _, a in page.tags) == 1
    text = "".join(page.text)
    told = text[text.index("Not fitted, final train accuracy") :]
    assert told.startswith(
        "Not fitted, final train accuracy on the given labels below --require_fit=0.611: "
        "upstream-random-seed0 50.0%, upstream-random-seed1 51.0%, upstream-random-seed2 52.0%."
    )
    page = page_of(make("b", require_fit=0.5).path)
    assert not any("unfitted" in a.get("class", "") for _, a in page.tags)


def test_texts_are_escaped(make):
    run = make()
    name = "<img src=x onerror=alert(1)>&amp;"
    run.path.rename(run.path.parent / name)
    picture(RunDirectory(run.path.parent / name), "a'\"><script>")
    make("other", experiment="other", test_split="test[:<b>]")
    page = page_of(run.path.parent)
    assert not page.open and not page.all("script")
    assert len(page.all("b")) == len(page.all("img")) == 1
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    text = "".join(page.text)
    assert name in text and "test[:<b>]" in text
    assert page.all("img")[0]["alt"].startswith(f"Figure a'\"><script> of {name}")


def test_verdicts_come_first_and_those_of_no_run_are_named(make):
    page = page_of(make().path)
    text = "".join(page.text)
    assert text.index("Claims") < text.index("holds") < text.index("Settings")
    assert "+10.0 [+10.0, +10.0]" in text and "3 of 3" in text
    assert "the interval lies wholly above 0" in text
    others = text[text.index("Not measured by any of these runs") :]
    assert "Figure 8" in others and "Figure 5" not in others


def test_summary_and_settings_of_a_run(make):
    page = page_of(make("fig5_initialisations_cpu", filters=64).path)
    text = "".join(page.text)
    assert "Question: is a Gaussian with the covariance of the learnt filters" in text
    assert "61.0 [58.5, 63.5]" in text  # final accuracies 0.6, 0.61 and 0.62
    assert "Difference to pretrained, paired by seed" in text
    assert "--filterschanged64 (flagfile: 256)" in text
    assert "15 of 15 stages" in text and "seeds 0 to 2" in text
    looks = {attributes.get("class") for name, attributes in page.tags if name == "span"}
    assert {"mark paper", "mark inferred", "mark ours", "mark changed", "mark default"} <= looks


def test_same_bytes_for_the_same_runs(make):
    run = make()
    picture(run, "overview")
    page_of(run.path)
    first = [(run.path / name).read_bytes() for name in ("report.html", "claims.json")]
    page_of(run.path)
    assert [(run.path / name).read_bytes() for name in ("report.html", "claims.json")] == first
    assert not list(run.path.glob(".*"))


def test_unfinished_runs_are_named_and_the_others_are_shown(make, tmp_path):
    whole = make("whole", missing=["downstream-true-scratch-seed1"])
    nothing = make("nothing", missing=[key.name for key in stage_keys(whole.read_config())])
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "config.json").write_text("{")
    told = write_report(str(tmp_path / "runs"))
    text = "".join(Page((tmp_path / "runs" / "report.html").read_text()).text)
    assert "note: nothing is not in it" in told and "note: damaged is not in it" in told
    assert "damaged: " in text and "nothing: " in text and "notes" not in text
    assert "14 of 15 stages" in text and "2 seeds; an interval needs 3" in text
    claims = json.loads((tmp_path / "runs" / "claims.json").read_text())["claims"]
    by_key = {claim["key"]: claim for claim in claims}
    (result,) = by_key["fig5_pretrained"]["results"]
    assert (result["run"], result["seeds"], result["verdict"]) == ("whole", [0, 2], "undecided")
    with pytest.raises(UsageError, match="finished"):
        write_report(str(nothing.path))
    assert not (nothing.path / "report.html").exists()


def test_a_folder_without_runs_is_refused_and_left_alone(tmp_path):
    for folder in (tmp_path, tmp_path / "no" / "such"):
        with pytest.raises(UsageError, match=r"^--workdir must hold a run .* Received: "):
            read_runs(str(folder))
    assert not any(tmp_path.iterdir())


def test_command_needs_no_tensorflow(make, capsys, monkeypatch):
    run = make()
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # importing it would fail
    assert main.main([f"--workdir={run.path.parent}", "--mode=report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("verdicts of 1 run: holds: ")
    assert lines[-1] == f"wrote {run.path.parent / 'report.html'}"


def test_small_pieces():
    assert tag("p", "<", tag("br"), class_='a"b') == '<p class="a&quot;b">&lt;<br></p>'
    assert join(["&", Markup("&amp;")], " ") == "&amp; &amp;"
    assert question_of("overview").startswith("What did the network learn from random labels")
    assert question_of("../page") == ""
    assert (seeds_text([0, 5]), seeds_text([2, 3, 4])) == ("seeds 0, 5", "seeds 2 to 4")
