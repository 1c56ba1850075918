"""Experiments: plan, train upstream, make the starts of it, train downstream, store."""
