"""Trains and draws experiments: python main.py --flagfile=flags/quickstart.cfg"""

import sys

from rl_keras.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
