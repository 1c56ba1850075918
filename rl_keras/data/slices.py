"""Slices of splits: from TFDS slicing text to example numbers, and no overlaps."""

import itertools
import re
from collections.abc import Mapping

import tensorflow_datasets as tfds

from rl_keras.errors import UsageError


def resolve_slice(spec: str, split_infos: Mapping) -> tuple[tuple[str, int, int], ...]:
    """Returns the ranges of examples that a TFDS slicing text names.

    Args:
        spec: such as `"train[:40%]"` or `"train[:10%]+train[50%:60%]"`.
        split_infos: split name to an object with `num_examples` and
            `shard_lengths`, as in `builder.info.splits`.

    Returns:
        A tuple of `(split, start, stop)`, in the order of the text.

    Raises:
        UsageError: text that cannot be parsed, an unknown split, a range that
            is empty or beyond the split.

    Example:
        >>> resolve_slice("train[:40%]", builder.info.splits)  # of 50,000
        (('train', 0, 20000),)
    """
    try:
        instructions = tfds.core.ReadInstruction.from_spec(spec).to_absolute(split_infos)
    except Exception as error:
        # The last line of the error says what is wrong; what it advises is worded better below.
        reason = re.split(r"\.? See | Should be", str(error).strip().splitlines()[-1])[0]
        raise UsageError(
            f"{reason.rstrip('.')}. Expected a slice such as 'train[:40%]' or 'train[4000:8000]' "
            f"of the splits {_sizes(split_infos)}. Received: {spec!r}"
        ) from error
    ranges = []
    for instruction in instructions:
        split = instruction.splitname
        start, stop = instruction.from_ or 0, instruction.to
        if stop is None:
            stop = split_infos[split].num_examples
        if start >= stop:
            raise UsageError(
                f"The slice holds no examples of split {split!r} ({start} to {stop}); the splits "
                f"are {_sizes(split_infos)}. Received: {spec!r}"
            )
        ranges.append((split, start, stop))
    return tuple(ranges)


def num_examples(source, spec: str) -> int:
    """Returns the number of examples in a slice."""
    return sum(stop - start for _, start, stop in source.slice_of(spec))


def check_disjoint(source, specs: Mapping[str, str]) -> None:
    """Refuses slices that share examples, with each other or with themselves.

    Args:
        source: from `open_source`.
        specs: flag name to slicing text, such as
            `{"upstream_split": "train[:40%]", "downstream_split": "train[40%:]"}`.

    Raises:
        UsageError: naming both flags, their texts and the range they share.
    """
    ranges = []
    for flag, spec in specs.items():
        try:
            ranges += [(f"--{flag}={spec}", *part) for part in source.slice_of(spec)]
        except UsageError as error:
            raise UsageError(f"--{flag}: {error}") from error
    for one, other in itertools.combinations(ranges, 2):
        (flag, split, *_), (other_flag, other_split, *_) = one, other
        start, stop = max(one[2], other[2]), min(one[3], other[3])
        if split == other_split and start < stop:
            raise UsageError(
                f"Slices must not share examples: {split}[{start}:{stop}], {stop - start} of them, "
                f"would be used twice. Change one of the slices. Received: {flag} and {other_flag}"
            )


def _sizes(split_infos):
    return ", ".join(f"{name} ({info.num_examples})" for name, info in split_infos.items())
