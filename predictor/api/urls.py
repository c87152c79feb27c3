"""Addresses of the REST API, version 1."""

from django.urls import URLPattern, path, re_path

from predictor.api.views import (
    docs,
    drift,
    explanation,
    films,
    genres,
    imports,
    models,
    predict,
    tokens,
    version_comparison,
)

urlpatterns: list[URLPattern] = [
    path("", docs.RootView.as_view(), name="api-root"),
    path("films/", films.FilmsView.as_view(), name="api-films"),
    path("films/<int:film_id>/", films.FilmView.as_view(), name="api-film"),
    path("films/<int:film_id>/prediction/", films.PredictionView.as_view(), name="api-prediction"),
    path("films/<int:film_id>/explanation/", explanation.ExplanationView.as_view(), name="api-explanation"),
    path("films/<int:film_id>/similar/", films.SimilarView.as_view(), name="api-similar"),
    path("genres/", genres.GenresView.as_view(), name="api-genres"),
    path("imports/", imports.ImportsView.as_view(), name="api-imports"),
    path("imports/estimate/", imports.EstimateView.as_view(), name="api-import-estimate"),
    path("imports/<int:run_id>/", imports.ImportView.as_view(), name="api-import"),
    path("imports/<int:run_id>/rejections/", imports.RejectionsView.as_view(), name="api-import-rejections"),
    path("imports/<int:run_id>/pause/", imports.PauseView.as_view(), name="api-import-pause"),
    path("imports/<int:run_id>/resume/", imports.ResumeView.as_view(), name="api-import-resume"),
    path("imports/<int:run_id>/cancel/", imports.CancelView.as_view(), name="api-import-cancel"),
    path("imports/<int:run_id>/retry/", imports.RetryView.as_view(), name="api-import-retry"),
    path("predict/", predict.PredictView.as_view(), name="api-predict"),
    path("models/", models.ModelsView.as_view(), name="api-models"),
    path("models/compare/", version_comparison.VersionComparisonView.as_view(), name="api-compare-models"),
    path("models/drift/", drift.DriftView.as_view(), name="api-drift"),
    path("models/<int:version_id>/", models.ModelView.as_view(), name="api-model"),
    path("me/tokens/", tokens.TokensView.as_view(), name="api-tokens"),
    path("me/tokens/<str:key>/", tokens.TokenView.as_view(), name="api-token"),
    path("schema/", docs.SchemaView.as_view(), name="api-schema"),
    path("docs/", docs.docs, name="api-docs"),
    re_path("", docs.UnknownView.as_view(), name="api-unknown"),
]
