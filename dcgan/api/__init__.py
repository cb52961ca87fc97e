"""The Python API, `import dcgan`, described in docs/python.md.

Heavy imports are inside functions, because the allocator is configured before PyTorch loads.
"""
