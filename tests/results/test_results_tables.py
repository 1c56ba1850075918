"""The tables printed after a run, letter by letter."""

from rl_keras.results.tables import paired_table, summary_table
from rl_keras.settings.transfer import STARTS

NAMES = ("final_train_accuracy", "final_test_accuracy", "steps_to_80", "area_under_train_curve")

GOLDEN = """\
labels  start                 train %             test %    steps to 80%             area %
true    scratch     76.0 [73.5, 78.5]  51.0 [48.5, 53.5]  250 [225, 275]  61.0 [58.5, 63.5]
true    pretrained  90.0 [90.0, 90.0]  50.0 [50.0, 50.0]    120 (2 of 3)  80.0 [80.0, 80.0]
random  covariance  40.0 [40.0, 40.0]         - (0 of 3)      - (0 of 3)  30.0 [30.0, 30.0]
Mean [95% interval] over 3 seeds; (n of N): n seeds have a value; area: mean train accuracy."""


def row(labels, start, *values):
    return {"labels": labels, "start": start} | dict(zip(NAMES, values, strict=True))


def test_table():
    rows = [
        row("true", "scratch", "0.75", "0.5", "240", "0.6"),
        row("true", "scratch", "0.76", "0.52", "260", "0.61"),
        row("true", "scratch", "0.77", "0.51", "250", "0.62"),
        row("true", "pretrained", "0.9", "0.5", "100", "0.8"),
        row("true", "pretrained", "0.9", "0.5", "", "0.8"),
        row("true", "pretrained", "0.9", "0.5", "140", "0.8"),
        row("random", "covariance", 0.4, float("nan"), None, 0.3),
        row("random", "covariance", 0.4, float("nan"), None, 0.3),
        row("random", "covariance", 0.4, float("nan"), None, 0.3),
    ]
    assert summary_table(rows) == GOLDEN


def test_single_seed_has_no_interval():
    lines = summary_table([row("true", "scratch", "0.75", "0.5", "", "0.6")]).splitlines()
    assert lines[1].split() == ["true", "scratch", "75.0", "50.0", "-", "(0", "of", "1)", "60.0"]
    assert lines[-1].startswith("One seed; ")


def test_width_stays_within_110():
    rows = [
        row("permuted", start, 0.9987 + seed / 1e4, 0.5512 + seed / 1e2, 12400 + 500 * seed, 0.957)
        for start in STARTS
        for seed in range(3)
    ]
    assert max(map(len, summary_table(rows).splitlines())) <= 110


PAIRED = """\
Difference to pretrained, paired by seed:
labels  start           steps to 80%             area %
true    scratch       +20 [+20, +20]  -10.0 [-10.0, -10.0]
true    covariance      - (1 of 3)    +1.0 [+1.0, +1.0]"""


def test_differences_are_taken_seed_by_seed():
    rows = []
    for seed, base in enumerate((100, 180, 140)):  # the seeds differ by more than the starts
        area = 0.8 - seed / 10
        covariance = base if seed == 2 else None
        for start, steps, more in (
            ("scratch", base + 20, -0.1),
            ("pretrained", base, 0.0),
            ("covariance", covariance, 0.01),
        ):
            rows.append({**row("true", start, 0.9, 0.5, steps, area + more), "seed": seed})
    assert paired_table(rows).split() == PAIRED.split()


def test_two_seeds_have_no_interval_and_percentages_none_beyond_0_and_100():
    rows = [row("true", "scratch", accuracy, 0.5, 100, 0.5) for accuracy in (0.5, 0.99, 1.0)]
    two, three = (summary_table(rows[:num]).splitlines() for num in (2, 3))
    assert two[1].split()[2:] == ["74.5", "50.0", "100", "50.0"]
    assert two[2].startswith("Mean over 2 seeds, too few for an interval;")
    assert three[1].split()[2:5] == ["83.0", "[12.0,", "100.0]"]
    pairs = [
        {**row("true", start, 0.9, 0.5, steps, 0.5), "seed": seed}
        for start in STARTS
        for seed, steps in ((0, 100), (1, 120))
    ]
    assert "+0" in paired_table(pairs) and "[" not in paired_table(pairs)


def test_there_are_no_differences_without_the_reference_or_a_second_seed():
    one = [{**row("true", start, 0.9, 0.5, 100, 0.8), "seed": 0} for start in STARTS]
    assert paired_table(one) == ""
    two = [{**one[0], "seed": seed} for seed in (0, 1)]
    assert paired_table(two) == ""
