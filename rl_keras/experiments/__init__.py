"""The recipe: plan, train upstream, transform weights, train downstream, store."""
