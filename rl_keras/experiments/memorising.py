"""Says before training what will keep a network from memorising the labels it is given."""

from rl_keras.config import ExperimentConfig


def hindrances(config: ExperimentConfig) -> list[str]:
    """Returns a line for each stage with noisy labels and a regulariser, empty if there is none.

    Augmentation, weight decay and dropout are not refused: whether they hinder the fit of
    random labels is a question of Zhang et al., Table 4.

    Example:
        >>> hindrances(from_values({"upstream_weight_decay": 0.01}))[0][:50]
        'experiment: upstream labels are random, and --upst'
    """
    lines = []
    for prefix in ("upstream", "downstream") if config.transfer.arms else ("upstream",):
        stage = getattr(config, prefix)
        noisy = [labels for labels in stage.labels if is_noisy(labels, stage.corruption)]
        flags = {
            f"--{prefix}_augmentation={stage.augmentation}": stage.augmentation != "none",
            f"--{prefix}_weight_decay={stage.weight_decay}": stage.weight_decay > 0,
            f"--dropout={config.model.dropout}": config.model.dropout > 0,
        }
        given = [flag for flag, is_on in flags.items() if is_on]
        if noisy and given:
            lines.append(
                f"{config.run.experiment}: {prefix} labels are {' and '.join(noisy)}, and "
                f"{' and '.join(given)} may keep the network from memorising them."
            )
    return lines


def is_noisy(labels: str, corruption: float) -> bool:
    """Says whether a label map gives wrong labels."""
    return labels in ("random", "permuted") or (labels == "partial" and corruption > 0)
