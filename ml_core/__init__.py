"""The science of Genresite: from a snapshot of films to a model artifact and its predictions. No Django in here."""
