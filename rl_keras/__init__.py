"""What neural networks learn from random labels, in Keras 3 and TensorFlow.

Import what you need from the subpackages; this file imports neither Keras nor TensorFlow, so
that `rl_keras.science` loads without them. Once Keras is loaded, before or after this package, it
knows the classes of `rl_keras.models`: so `import rl_keras` is enough to load a `.keras` file
that holds them.
"""

import importlib
import sys
from importlib import util
from importlib.abc import MetaPathFinder

__version__ = "0.1.0"


class _KerasImport(MetaPathFinder):
    """Waits for Keras to be imported, and then imports the classes that are registered with it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)  # not to be asked again by the next line
        try:
            spec = util.find_spec("keras")
        finally:
            sys.meta_path.insert(0, self)  # who asks where Keras is need not import it
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                execute(module)
                importlib.import_module("rl_keras.models")

            spec.loader.exec_module = exec_module
        return spec


if "keras" in sys.modules:
    importlib.import_module("rl_keras.models")
else:
    sys.meta_path.insert(0, _KerasImport())
