"""What is transferred from the upstream to the downstream stage."""

from dataclasses import dataclass

from rl_keras.settings.setting import NO_REPETITION, NOT_EMPTY, alone, setting

FIRST_LAYER_STARTS = ("scratch", "pretrained", "pretrained_unscaled", "covariance")
STARTS = (*FIRST_LAYER_STARTS, "layerwise")


@dataclass(frozen=True)
class TransferConfig:
    """What is transferred from upstream to downstream; the same for every start."""

    starts: tuple[str, ...] = setting(
        FIRST_LAYER_STARTS,
        "Initial weights to compare downstream. none: no downstream stage at all.",
        choices=(*STARTS, "none"),
        rules=(NOT_EMPTY, NO_REPETITION, alone("none")),
    )
    transfer_layers: tuple[str, ...] = setting(
        (),
        "Layers to transfer. Empty: the first; all: every one but the head.",
        rules=(alone("all"),),
    )
    transfer_depths: tuple[int, ...] = setting(
        (),
        "Transfer the first k layers with filters, once for each k, instead.",
        at_least=1,
        rules=(NO_REPETITION,),
    )
    transfer_biases: bool = setting(False, "Also transfer the biases of these layers.")
    transfer_normalization: bool = setting(
        False, "Also transfer scales, shifts and moving statistics of these layers."
    )

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the downstream arms: the starts or, with depths, such as `pretrained-first2`.

        Example:
            >>> TransferConfig(("scratch", "covariance"), transfer_depths=(1, 2)).arms
            ('scratch', 'covariance-first1', 'covariance-first2')
        """
        if self.starts == ("none",):
            return ()
        if not self.transfer_depths:
            return self.starts
        names = []
        for start in self.starts:
            depths = [f"{start}-first{depth}" for depth in self.transfer_depths]
            names += ["scratch"] if start == "scratch" else depths
        return tuple(names)


def split_arm(name: str) -> tuple[str, int | None]:
    """Returns start and depth of an arm; the depth is `None` if the arm names none.

    Example:
        >>> split_arm("pretrained-first2"), split_arm("scratch")
        (('pretrained', 2), ('scratch', None))
    """
    start, _, depth = name.partition("-first")
    return start, int(depth) if depth else None
