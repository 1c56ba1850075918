"""What all figures share: style, panels, and the small print under them."""
