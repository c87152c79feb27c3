"""Pages on films and what the model says of them."""
