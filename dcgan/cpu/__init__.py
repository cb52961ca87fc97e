"""Speed on CPUs. Imports nothing, so that the allocator can be configured before torch loads."""
