import pytest

from rl_keras.errors import UsageError
from rl_keras.settings.experiment import from_values
from rl_keras.settings.variants import expand, variant_names


def config(text, **values):
    return from_values({"workdir": "runs/a", "experiment": "a", "variants": text, **values})


def test_without_variants_there_is_the_run_itself():
    own = config("")
    assert expand(own) == {"": own} and variant_names(own) == ()


def test_each_variant_has_its_settings_and_a_folder_of_its_own():
    own = config("narrow: filters=8; wide: filters=16 starts=scratch,pretrained", units=5)
    assert variant_names(own) == ("narrow", "wide")
    narrow, wide = expand(own).values()
    assert (narrow.model.filters, wide.model.filters) == (8, 16)
    assert narrow.model.units == wide.model.units == 5
    assert wide.transfer.starts == ("scratch", "pretrained")
    assert (narrow.run.workdir, narrow.run.experiment) == ("runs/a/narrow", "a-narrow")
    assert narrow.run.variants == "" and narrow.run.seeds == own.run.seeds


def test_switches_and_empty_parts():
    own = config("a: --transfer_biases=true; b: ;")
    one, other = expand(own).values()
    assert one.transfer.transfer_biases and not other.transfer.transfer_biases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters=8", "takes 'NAME: flag=value"),
        ("a b: filters=8", "takes 'NAME: flag=value"),
        ("../up: filters=8", "takes 'NAME: flag=value"),
        ("a: filters=8; a: filters=9", "must not repeat a name. Received: a"),
        ("a: filters", "settings are flag=value, each flag once. Received: 'filters'"),
        ("a: filters=8 filters=9", "each flag once. Received: 'filters=9'"),
        ("a: colour=red", "Received: 'colour' in variant 'a'"),
        ("a: seeds=1", "Received: 'seeds' in variant 'a'"),
        ("a: filters=many", "--filters takes a whole number. Received: 'many'"),
        ("a: filters=0", "variant 'a': --filters must be at least 1. Received: 0"),
        ("a: transfer_biases=yes", "takes true or false. Received: 'yes'"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        expand(config(text))
