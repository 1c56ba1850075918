"""Weights and models from files, in a process that knows nothing of how they were made."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_keras.models import load_weights, simple_cnn, small_alexnet
from rl_keras.storage.run_folder import write_arrays

ROOT = Path(__file__).parents[2]
SHAPE = (12, 12, 3)


@pytest.fixture
def model():
    return simple_cnn(SHAPE, classes=3, filters=4, units=4, seed=1)


def arrays_of(model):
    return {variable.path: variable.numpy() for variable in model.weights}


def test_the_weights_of_a_stage_are_loaded(model, tmp_path):
    write_arrays(tmp_path / "weights.npz", arrays_of(model))
    path = str(tmp_path / "weights.npz")
    built = simple_cnn(SHAPE, classes=3, filters=4, units=4, weights=path)
    again = simple_cnn(SHAPE, classes=3, filters=4, units=4, seed=2)
    load_weights(again, path)
    for other in (built, again):
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_weights_of_keras_are_loaded(model, tmp_path):
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    again = simple_cnn(SHAPE, classes=3, filters=4, units=4, seed=2, weights=str(path))
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("head/kernel"), "must hold 'head/kernel' of shape \\(4, 3\\)"),
        (lambda arrays: arrays.update({"head/bias": np.ones(9)}), "Received: shape \\(9,\\)"),
    ],
)
def test_weights_of_another_model_are_refused_and_nothing_is_assigned(
    model, tmp_path, change, message
):
    arrays = {name: value + 1 for name, value in arrays_of(model).items()}
    change(arrays)
    write_arrays(tmp_path / "weights.npz", arrays)
    before = arrays_of(model)
    with pytest.raises(ValueError, match=message):
        load_weights(model, tmp_path / "weights.npz")
    for name, value in arrays_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def elsewhere(code, *arguments):
    """Runs code in another process and returns its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    return lines[-1] if lines else ""


LOAD = """
import sys, numpy as np
{imports}
model = keras.models.load_model(sys.argv[1])
print(float(np.sum(model(np.ones((1, 32, 32, 3), "float32")) ** 2)))
"""


LOOKS_FIRST = "import importlib.util, rl_keras; importlib.util.find_spec('keras'); import keras"


@pytest.mark.parametrize(
    "imports", ["import rl_keras, keras", "import keras, rl_keras", LOOKS_FIRST]
)
def test_importing_the_package_is_enough_to_load_a_model_in_another_process(tmp_path, imports):
    model = small_alexnet((32, 32, 3), classes=3, width=0.1)
    model.save(tmp_path / "model.keras")
    expected = float(np.sum(model(np.ones((1, 32, 32, 3), "float32")) ** 2))
    said = elsewhere(LOAD.format(imports=imports), tmp_path / "model.keras")
    assert float(said) == pytest.approx(expected, rel=1e-5)


def test_without_the_package_the_error_names_it(model, tmp_path):
    model.save(tmp_path / "model.keras")
    said = elsewhere(LOAD.format(imports="import keras"), tmp_path / "model.keras")
    assert "rl_keras>ScaledHeNormal" in said


def test_the_package_alone_loads_no_keras():
    code = "import sys, rl_keras; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    assert elsewhere(code) == "[]"
