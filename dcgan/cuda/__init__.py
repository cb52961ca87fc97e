"""Speed on CUDA GPUs."""
