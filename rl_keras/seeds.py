"""One root seed, and an independent child for every purpose."""

import hashlib


def derive_seed(root: int, *names: str | int) -> int:
    """Returns the seed of one purpose, a function of the root seed and its names.

    Adding a purpose never changes the seed of another, so a new layer or a new
    diagnostic leaves old runs as they were.

    Args:
        root: the experiment's seed, one of `--seeds`.
        *names: what the seed is for, such as `"initial_weights", "conv1"`.

    Returns:
        An integer in `[0, 2**31)`, accepted by Keras, TensorFlow and NumPy.

    Example:
        >>> derive_seed(0, "labels") == derive_seed(0, "labels")
        True
        >>> derive_seed(0, "labels") == derive_seed(0, "order")
        False
    """
    text = "\x1f".join([str(int(root)), *(str(name) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=4, person=b"rl_keras seed").digest()
    return int.from_bytes(digest, "little") >> 1
