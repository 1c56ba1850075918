"""What figures are drawn with: the one look, panels, and small print."""
