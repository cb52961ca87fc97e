"""The sweeps that come with the project, as TOML files."""
