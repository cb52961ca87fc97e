"""What runs cannot show, said once on every page."""

ANECDOTE = "One run is an anecdote: another seed may give a different result."
NO_QUALITY = (
    "Losses and D's scores show how the game between G and D went, not how good the images are."
)
