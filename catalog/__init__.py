"""What films there are: films, genres, posters, and the imports that bring them. Knows nothing of predictions."""
