"""What losses and scores cannot show, said once on every page."""

NO_QUALITY = (
    "Losses and D's scores show how the game between G and D went, not how good the images are."
)
