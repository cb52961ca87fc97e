"""What makes a DCGAN fast on CPUs. Imports nothing, so that the allocator can run before torch."""
