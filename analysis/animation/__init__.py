"""Animations of a training's grids and of walks through latent space."""
