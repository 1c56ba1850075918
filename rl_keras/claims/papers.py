"""All claims, in the order in which they are told."""

from rl_keras.claims.maennel import MAENNEL
from rl_keras.claims.others import OTHERS
from rl_keras.claims.zhang import ZHANG

CLAIMS = (*MAENNEL, *ZHANG, *OTHERS)
