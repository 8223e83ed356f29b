// The button that copies a reference or link; without a script it stays hidden, and the text can be copied by hand.
(() => {
  "use strict";
  // A browser copies only on a page that came over HTTPS or from this machine.
  const copy = document.querySelector("[data-copy]");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(copy.dataset.copy);
    copy.textContent = copy.dataset.done;
    document.getElementById("live").textContent = copy.dataset.done;
  });
})();
