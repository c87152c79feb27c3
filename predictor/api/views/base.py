"""What all views of the API have in common."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView


class ApiView(APIView):
    """A view that says 405 before it asks who calls: a method that is not there needs no login."""

    # OPTIONS is left out: the schema describes the API, and other sites' scripts are not let in (no CORS).
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)
