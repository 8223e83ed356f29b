// What a page gains with a script: the reader's own time zone, countdowns, and words when the network fails.
// Everything works without it; nothing here decides anything.
(() => {
  "use strict";
  const words = document.getElementById("words").dataset;
  const page = document.documentElement.lang;
  // The reader's own variant of the page's language, e.g. en-IN, else the page's.
  const language = navigator.languages.find((tag) => tag.split("-")[0] === page) ?? page;
  const DAY = 86400000;
  const write = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const unit = (name, value) => new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short" }).format(value);

  // The two largest units: "1 day 3 hr", "4 min 20 sec".
  const span = (ms) => {
    const left = Math.max(0, Math.ceil(ms / 1000));
    const parts = [["day", Math.floor(left / 86400)], ["hour", Math.floor(left / 3600) % 24], ["minute", Math.floor(left / 60) % 60], ["second", left % 60]];
    const first = parts.findIndex(([, value]) => value > 0);
    return parts.slice(first < 0 ? 3 : first).slice(0, 2).filter(([, value], at) => value > 0 || at === 0).map(([name, value]) => unit(name, value)).join(" ");
  };

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  // "Until 24 Nov 2026, 00:00 UTC" becomes "Ends in 5 hr 12 min"; the instant itself stays in the title.
  const count = (time) => {
    const mark = "ends" in time.dataset ? "ends" : "opens";
    const left = Date.parse(time.dateTime) - Date.now();
    if (left >= 2 * DAY) return;
    if (time.parentElement.childNodes.length > 1) time.parentElement.replaceChildren(time);
    put(time, left > 0 ? words[mark].replace("{time}", span(left)) : mark === "ends" ? words.over : words.open);
    const card = time.closest(".ticket");
    if (left <= 0 && card) {
      card.classList.add("still");
      card.querySelectorAll("button").forEach((button) => { button.disabled = true; });
    }
  };

  const wait = (node) => {
    const until = Number(node.dataset.until);
    const left = until - Date.now();
    if (left > 0) return put(node, words.wait.replace("{time}", span(left)));
    put(node, node.dataset.said);
    node.disabled = false;
    delete node.dataset.until;
    if (node.dataset.focus) node.focus();
  };

  const tick = () => {
    document.querySelectorAll("time[data-ends], time[data-opens]").forEach(count);
    document.querySelectorAll("[data-until]").forEach(wait);
  };

  const show = (input) => {
    const button = document.createElement("button");
    const turn = (open) => {
      input.type = open ? "text" : "password";
      button.textContent = open ? words.hide : words.show;
      button.setAttribute("aria-pressed", String(open));
    };
    Object.assign(button, { type: "button", className: "plain show" });
    button.setAttribute("aria-label", words.showLabel);
    button.addEventListener("click", () => turn(input.type === "password"));
    input.form.addEventListener("submit", () => turn(false));
    input.parentElement.classList.add("secret");
    input.after(button);
    turn(false);
  };

  const enliven = (root) => {
    root.querySelectorAll("time[datetime]:not([title])").forEach((time) => {
      const text = write.format(new Date(time.dateTime));
      time.title = text;
      time.textContent = text;
    });
    root.querySelectorAll("button[data-wait]:not([data-said])").forEach((button) => {
      Object.assign(button.dataset, { said: button.textContent, until: Date.now() + 1000 * button.dataset.wait });
      if (document.activeElement === button) button.dataset.focus = "1";
      button.disabled = true;
    });
    root.querySelectorAll('input[type="password"]').forEach(show);
    tick();
  };

  const trouble = document.getElementById("trouble");
  const say = (text) => { trouble.textContent = text; };

  const zone = document.querySelector("[data-zone]");
  const here = new Intl.DateTimeFormat(language, { timeZoneName: "long" }).formatToParts().find((part) => part.type === "timeZoneName");
  zone.textContent = zone.dataset.zone.replace("{zone}", here.value);
  enliven(document);
  document.querySelector('[aria-invalid="true"]')?.focus();
  setInterval(tick, 1000);

  document.addEventListener("htmx:afterSwap", (event) => enliven(event.detail.target.isConnected ? event.detail.target : document));
  document.addEventListener("htmx:oobAfterSwap", () => enliven(document));
  document.addEventListener("htmx:beforeRequest", () => say(""));
  document.addEventListener("htmx:sendError", () => say(trouble.dataset.offline));
  document.addEventListener("htmx:timeout", () => say(trouble.dataset.offline));
  document.addEventListener("htmx:responseError", (event) => say(event.detail.xhr.status === 403 ? trouble.dataset.old : trouble.dataset.broken));
})();
