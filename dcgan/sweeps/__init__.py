"""The sweeps that ship with the project, as TOML files."""
