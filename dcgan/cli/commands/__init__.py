"""The commands, grouped into one file per subject. They do not import each other."""
