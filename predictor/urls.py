"""Addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, path, re_path

from predictor.views.accounts import ChangePassword, LogIn, revoke, tokens
from predictor.views.browse import browse, facets
from predictor.views.compare import compare
from predictor.views.data import chart, data
from predictor.views.drift import drift
from predictor.views.film import film
from predictor.views.models import model, model_chart, models
from predictor.views.promotions import promote, rollback
from predictor.views.trainings import (
    change_training,
    training_chart,
    training_live,
    training_page,
    trainings,
)
from predictor.views.try_it import try_it
from predictor.views.version_comparison import (
    compare_versions,
    compare_versions_chart,
    differing,
    have_predicted,
)
from predictor.views.why import why

urlpatterns: list[URLPattern] = [
    path("", browse, name="browse"),
    path("facets/", facets, name="facets"),
    path("data/", data, name="data"),
    path("data/<slug:name>/<slug:scheme>-<slug:width>.svg", chart, name="chart"),
    path("films/<int:film_id>/", film, name="film-by-id"),
    path("films/<int:film_id>-<slug:slug>/", film, name="film"),
    path("films/<int:film_id>-<slug:slug>/why/", why, name="why"),
    path("compare/", compare, name="compare"),
    path("models/", models, name="models"),
    path("models/compare/", compare_versions, name="compare-versions"),
    path("models/compare/films/", differing, name="differing-films"),
    path(
        "models/compare/<int:a>-<int:b>/<slug:name>/<slug:scheme>-<slug:width>.svg",
        compare_versions_chart,
        name="compare-versions-chart",
    ),
    path("models/drift/", drift, name="drift"),
    path("models/trainings/", trainings, name="trainings"),
    path("models/trainings/<int:training_id>/", training_page, name="training"),
    path("models/trainings/<int:training_id>/live/", training_live, name="training-live"),
    re_path(
        r"^models/trainings/(?P<training_id>[0-9]+)/(?P<change>cancel|pause|resume)/$",
        change_training,
        name="change-training",
    ),
    path(
        "models/trainings/<int:training_id>/<slug:name>/<slug:scheme>-<slug:width>.svg",
        training_chart,
        name="training-chart",
    ),
    path("models/rollback/", rollback, name="rollback"),
    path("models/<int:version_id>/promote/", promote, name="promote"),
    path("models/<int:version_id>/", model, name="model"),
    path("models/<int:version_id>/predict/", have_predicted, name="have-predicted"),
    path(
        "models/<int:version_id>/<slug:inputs>/<slug:name>/<slug:scheme>-<slug:width>.svg",
        model_chart,
        name="model-chart",
    ),
    path("try/", try_it, name="try"),
    path("login/", LogIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", ChangePassword.as_view(), name="password"),
    path("tokens/", tokens, name="tokens"),
    path("tokens/revoke/", revoke, name="revoke-token"),
]
