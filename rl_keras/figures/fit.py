"""Which stages had to memorise what they were given, and did not."""

from rl_keras.errors import NotFittedError
from rl_keras.figures.reading import read_variants
from rl_keras.storage import RunDirectory


def unfitted(run: RunDirectory, accuracy: float | None = None) -> dict[str, float]:
    """Returns the finished stages whose labels say nothing of the images, and were not fitted.

    These are stages with random, permuted or partly corrupted labels and, with an
    --input_corruption, all.

    Args:
        run: folder of the run.
        accuracy: on the given labels of the training slice; the stored --require_fit by
            default. Below it a stage is not fitted.

    Returns:
        Final train accuracy by name of stage, that of its variant in front.

    Raises:
        UsageError: if the folder holds no run, or no finished stage.
    """
    config = run.read_config()
    accuracy = config.run.require_fit if accuracy is None else accuracy
    if not accuracy:
        return {}
    found = {}
    for variant, results in read_variants(run).items():
        is_corrupted = results.config.data.input_corruption != "none"
        for key, result in results.finished.items():
            reached = result["summary"]["final_train_accuracy"]
            if (is_corrupted or key.labels != "true") and reached < accuracy:
                found["/".join(filter(None, (variant, key.name)))] = reached
    return found


def fit_text(run: RunDirectory, accuracy: float | None = None) -> list[str]:
    """Returns what to print of `unfitted`: a line for each stage, under a title."""
    stages = unfitted(run, accuracy)
    if not stages:
        return []
    lines = [f"  {name}: {reached:.1%}" for name, reached in stages.items()]
    return ["Not fitted, final train accuracy on the given labels:", *lines, ""]


def check_fit(run: RunDirectory, accuracy: float | None = None) -> None:
    """Refuses a run with stages that are not fitted.

    Raises:
        NotFittedError: naming the worst.
    """
    stages = unfitted(run, accuracy)
    if not stages:
        return
    accuracy = run.read_config().run.require_fit if accuracy is None else accuracy
    worst = min(stages, key=stages.get)
    raise NotFittedError(
        f"{len(stages)} stages did not reach a train accuracy of --require_fit={accuracy:g} on "
        "labels that had to be memorised: train longer, or with another learning rate. "
        f"Received: {stages[worst]:.4g} in stage {worst}"
    )
