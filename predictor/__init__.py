"""What the model says of the films: versions, predictions, comparison, and the pages and API on top of them."""
