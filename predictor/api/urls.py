"""Addresses of the REST API, version 1."""

from django.urls import URLPattern, path, re_path

from predictor.api.views import (
    docs,
    explanation,
    films,
    genres,
    models,
    predict,
    promotions,
    tokens,
    trainings,
)

urlpatterns: list[URLPattern] = [
    path("", docs.RootView.as_view(), name="api-root"),
    path("films/", films.FilmsView.as_view(), name="api-films"),
    path("films/<int:film_id>/", films.FilmView.as_view(), name="api-film"),
    path("films/<int:film_id>/prediction/", films.PredictionView.as_view(), name="api-prediction"),
    path("films/<int:film_id>/explanation/", explanation.ExplanationView.as_view(), name="api-explanation"),
    path("films/<int:film_id>/similar/", films.SimilarView.as_view(), name="api-similar"),
    path("genres/", genres.GenresView.as_view(), name="api-genres"),
    path("predict/", predict.PredictView.as_view(), name="api-predict"),
    path("models/", models.ModelsView.as_view(), name="api-models"),
    path("models/<int:version_id>/", models.ModelView.as_view(), name="api-model"),
    path("models/promotions/", promotions.PromotionsView.as_view(), name="api-promotions"),
    path("models/rollback/", promotions.RollbackView.as_view(), name="api-rollback"),
    path("models/<int:version_id>/promote/", promotions.PromoteView.as_view(), name="api-promote"),
    path("trainings/", trainings.TrainingsView.as_view(), name="api-trainings"),
    path("trainings/estimate/", trainings.EstimateView.as_view(), name="api-estimate"),
    path("trainings/<int:training_id>/", trainings.TrainingView.as_view(), name="api-training"),
    path("trainings/<int:training_id>/cancel/", trainings.CancelView.as_view(), name="api-training-cancel"),
    path("trainings/<int:training_id>/pause/", trainings.PauseView.as_view(), name="api-training-pause"),
    path("trainings/<int:training_id>/resume/", trainings.ResumeView.as_view(), name="api-training-resume"),
    path("me/tokens/", tokens.TokensView.as_view(), name="api-tokens"),
    path("me/tokens/<str:key>/", tokens.TokenView.as_view(), name="api-token"),
    path("schema/", docs.SchemaView.as_view(), name="api-schema"),
    path("docs/", docs.docs, name="api-docs"),
    re_path("", docs.UnknownView.as_view(), name="api-unknown"),
]
