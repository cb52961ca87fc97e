"""How good the images of a generator are, without weights that have to be downloaded."""
