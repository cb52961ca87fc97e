"""Where images come from: a folder, torchvision's data sets, or this package."""
