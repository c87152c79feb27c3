"""Who may do what beyond reading: staff, with the permissions that the admin site asks for, too."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class StaffWithPermission(BasePermission):
    """Staff who hold the permission that the view's `permissions_by_method` names for the method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        needed: dict[str, str] = view.permissions_by_method
        method = "GET" if request.method == "HEAD" else str(request.method)
        return bool(request.user and request.user.is_staff and request.user.has_perm(needed[method]))
