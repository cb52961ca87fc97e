"""Data sets as uint8 images, decoded once and scaled on the training device.

Imports nothing, so that the processes that decode images start without PyTorch.
"""
