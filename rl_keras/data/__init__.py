"""Which image carries which label, and how both reach the network."""
