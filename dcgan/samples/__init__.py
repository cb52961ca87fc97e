"""What a trained generator makes: images as files, grids, and walks through its latent space."""
