"""From a configuration to a tracked run."""
