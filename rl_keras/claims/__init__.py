"""What the papers claim, as data, and what finished runs say about it: no TensorFlow.

`claim` states once how an effect decides a claim; `papers` lists the claims, those of Maennel et
al. (`maennel`), of Zhang et al. (`zhang`) and of `others`; `starts`, `filters`, `units`,
`comparisons`, `pooled`, `randomisation`, `interpolants` and `diagnostics` measure their effects
in finished runs, and `conditions` says which variants can be compared; `evaluate` puts a verdict
beside each and writes `claims.json`.
"""
