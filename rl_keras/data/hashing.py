"""Random numbers that belong to an example: 64-bit hashes of its id, and words drawn from them.

All in whole numbers, so that every machine and library gets the same bits.
"""

import hashlib

import numpy as np

# SplitMix64 of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
GAMMA = 0x9E3779B97F4A7C15
SHIFTS = (30, 27, 31)
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def hash64(ids: np.ndarray, seed: int, family: bytes) -> np.ndarray:
    """Returns a 64-bit hash of each id, uint64 `(n,)`.

    Args:
        ids: bytes array `(n,)`.
        seed: integer; another seed gives unrelated hashes.
        family: what they are for, at most 16 bytes; other families are unrelated too.

    Example:
        >>> hash64(np.array([b"train_0"]), 0, b"rl_keras label") < 2**64
        array([ True])
    """
    key = str(int(seed)).encode()
    digests = b"".join(
        hashlib.blake2b(identity, digest_size=8, key=key, person=family).digest()
        for identity in ids.tolist()
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def random_words(keys: np.ndarray, count: int) -> np.ndarray:
    """Returns the first words of the SplitMix64 generator started at each key.

    Args:
        keys: uint64 array `(n,)`.
        count: words for each key.

    Returns:
        uint64 array `(n, count)`.

    Example:
        >>> hex(random_words(np.uint64([0]), 1)[0, 0])
        '0xe220a8397b1dcdaf'
    """
    gammas = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA)  # modulo 2**64
    words = np.asarray(keys, np.uint64)[:, None] + gammas
    for shift, factor in zip(SHIFTS, (*FACTORS, 1), strict=True):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words
