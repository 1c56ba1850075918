"""A small experiment, and what every refusal of one is: a line on stderr, exit status 2."""

import main

SMALL = [
    "--upstream_split=train[:40]",
    "--downstream_split=train[40:80]",
    "--test_split=test[:20]",
    "--upstream_batch_size=10",
    "--downstream_batch_size=10",
    "--upstream_epochs=2",
    "--downstream_epochs=2",
    "--probe_every=4",
    "--measure_every=4",
    "--filters=32",
    "--units=4",
]


def snapshot(folder):
    """Returns the bytes of each file under a folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def assert_refused(arguments, message, capsys):
    """Runs a command that must end with one line on stderr, which holds `message`."""
    status = main.main(arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    assert message in lines[0], lines[0]
