"""What neural networks learn from random labels, in Keras 3 and TensorFlow.

Import what you need from the subpackages; this file imports nothing, so that
`rl_keras.science` loads without TensorFlow.
"""

__version__ = "0.1.0"
