"use strict";

// Requests tried out on this page go out with the visitor's session; those that change something need its CSRF token.
const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

const addToken = (request) => {
  if (!["GET", "HEAD", undefined].includes(request.method)) {
    request.headers["X-CSRFToken"] = csrfToken();
  }
  return request;
};

// Swagger UI has a dark scheme, but does not ask the browser whether one is wanted.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.schema,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  requestInterceptor: addToken,
});
