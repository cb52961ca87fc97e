"""Images of a trained generator: as files, as grids, and along walks through latent space."""
