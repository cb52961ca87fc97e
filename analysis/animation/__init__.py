"""Animations: a training's grids in order, and walks through latent space."""
