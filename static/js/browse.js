// The filters are a panel beside the films where there is room, and folded away where there is not.
(() => {
  "use strict";
  const panel = document.getElementById("filter-panel");
  const wide = window.matchMedia("(min-width: 60rem)");
  const fit = () => { if (wide.matches) panel.open = true; };
  fit();
  wide.addEventListener("change", fit);
})();
