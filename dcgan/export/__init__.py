"""Generators for other programs: ONNX, torch.export and safetensors, each with a model card."""
