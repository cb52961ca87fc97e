"""Data sets as uint8 images: decoded once, scaled on the training device."""
