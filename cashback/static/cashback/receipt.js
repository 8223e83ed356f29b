// The receipt's button that prints it; without a script it stays hidden.
(() => {
  "use strict";
  const print = document.querySelector("[data-print]");
  print.hidden = false;
  print.addEventListener("click", () => window.print());
})();
