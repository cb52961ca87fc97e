"""The networks in whose feature spaces images are compared."""
