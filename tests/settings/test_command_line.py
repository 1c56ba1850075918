import pytest

from rl_keras.errors import UsageError
from rl_keras.settings import command_line
from rl_keras.settings.experiment import ExperimentConfig, all_settings, from_values, to_values


def test_no_arguments_give_the_defaults():
    config, given = command_line.parse([])
    assert config == ExperimentConfig()
    assert not given


def test_flags_of_every_type():
    config, given = command_line.parse(
        [
            "--seeds=3,4",
            "--init_scale=0.5",
            "--nodownload",
            "--upstream_epochs=2",
            "--widths=300,5",
            "--model=mlp",
            "--dry_run",
        ]
    )
    assert config.run.seeds == (3, 4)
    assert config.model.widths == (300, 5)
    assert (config.model.init_scale, config.upstream.epochs) == (0.5, 2)
    assert (config.run.dry_run, config.data.download) == (True, False)
    assert "download" in given and "figures" not in given


def test_a_flagfile_repeats_a_configuration(tmp_path):
    values = {
        "seeds": (0, 2),
        "dataset": "gaussian",
        "scaling": "none",
        "gaussian_variances": (0.1, 1e-7, 3.0),
        "model": "mlp",
        "upstream_learning_rate": 1 / 3,
        "starts": ("scratch",),
        "figures": (),
    }
    config = from_values(values)
    path = tmp_path / "flags.cfg"
    path.write_text(command_line.to_flagfile(config))
    again, given = command_line.parse([f"--flagfile={path}"])
    assert to_values(again) == to_values(config)
    assert given == {setting.flag for setting in all_settings()}


def test_later_flags_override_a_flagfile(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_text("# a comment\n--seeds=0,1\n--upstream_epochs=7\n")
    config, _ = command_line.parse([f"--flagfile={path}", "--seeds=9"])
    assert (config.run.seeds, config.upstream.epochs) == ((9,), 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sedes=1"], "Unknown command line flag 'sedes'. Did you mean: seeds"),
        (["--flagfile=/no/such/file"], "Unable to open flagfile.*/no/such/file"),
        (["quickstart"], "arguments must be flags of the form --name=value. Received: quickstart"),
        (["--seeds=0,x"], "--seeds takes whole numbers separated by commas. Received: 'x'"),
        (["--init_scale=big"], "--init_scale takes a number. Received: 'big'"),
        (["--upstream_epochs=1.5"], "--upstream_epochs takes a whole number. Received: '1.5'"),
        (["--dry_run=perhaps"], "--dry_run=perhaps.*Non-boolean"),
    ],
)
def test_bad_command_lines_are_refused_in_one_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        command_line.parse(arguments)
    assert "\n" not in str(caught.value)


def test_a_binary_flagfile_is_refused(tmp_path):
    path = tmp_path / "flags.cfg"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match="not a text file"):
        command_line.parse([f"--flagfile={path}"])


def test_help_lists_every_flag(capsys):
    with pytest.raises(SystemExit):
        command_line.parse(["--help"])
    text = capsys.readouterr().out
    assert all(f"--{setting.flag}=" in text for setting in all_settings())
    lines = text.splitlines()
    for line in (
        "  --strategy=auto [auto|cpu|mirrored|multi_worker|tpu]",
        "  --upstream_momentum=0.9 [at least 0 and below 1]",
        "  --padding=valid [valid|same] (simple_cnn, cnn3)",  # the models that take it
        "  --dense_units=(empty) [each at least 1] (cnn3, vgg16)",
        "  --init_scale=1.0 [positive]",
        "  --dry_run=false",
    ):
        assert line in lines
