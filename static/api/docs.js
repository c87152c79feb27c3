"use strict";

// Requests tried out on this page go out with the visitor's session; those that change something need its CSRF token.
const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

const addToken = (request) => {
  if (!["GET", "HEAD", undefined].includes(request.method)) {
    request.headers["X-CSRFToken"] = csrfToken();
  }
  return request;
};

SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.schema,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  requestInterceptor: addToken,
});
