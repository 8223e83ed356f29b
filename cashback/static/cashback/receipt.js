// The receipt's buttons that need a script; without one they stay hidden.
(() => {
  "use strict";
  const print = document.querySelector("[data-print]");
  print.hidden = false;
  print.addEventListener("click", () => window.print());

  // A browser copies only on a page that came over HTTPS or from this machine.
  const copy = document.querySelector("[data-copy]");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(copy.dataset.copy);
    copy.textContent = copy.dataset.done;
    document.getElementById("live").textContent = copy.dataset.done;
  });
})();
