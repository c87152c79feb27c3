// The explanation, put into the film's page: a refusal is shown like an answer, and reading goes on at its heading.
(() => {
  "use strict";
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target.id === "why" && [404, 429, 503].includes(xhr.status) && xhr.getResponseHeader("X-Robots-Tag")) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    const heading = document.getElementById("why-heading");
    if (heading) heading.focus({ preventScroll: true });
  });
})();
