"""What the papers print and claim, and what finished runs say about it. No TensorFlow.

`claim` states once how an effect decides a claim. `maennel`, `zhang` and `others` list the
claims as data. `effects` measures them in finished runs, and `verdicts` decides each claim
and writes `claims.json`. `printed` holds the numbers that were read off the papers.
"""
