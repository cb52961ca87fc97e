"""The command line's equal in Python: `import dcgan`, described in docs/python.md.

Modules import what is heavy in their functions: the allocator is configured before PyTorch loads.
"""
