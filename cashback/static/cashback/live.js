// What a page gains with a script: the reader's time zone on the first visit, countdowns, and words when the network fails.
// Everything works without it.
(() => {
  "use strict";
  const words = document.getElementById("words").dataset;
  const page = document.documentElement.lang;
  // The reader's variant of the page's language, e.g. en-IN.
  const language = navigator.languages.find((tag) => tag.split("-")[0] === page) ?? page;
  const DAY = 86400000;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // On the first visit the server knows no zone: write times here, and tell it.
  const isFirstVisit = !document.body.dataset.zone && Boolean(here);
  const unit = (name, value) => new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short" }).format(value);

  // The two largest units: "1 day 3 hr", "4 min 20 sec".
  const span = (ms) => {
    const left = Math.max(0, Math.ceil(ms / 1000));
    const parts = [["day", Math.floor(left / 86400)], ["hour", Math.floor(left / 3600) % 24], ["minute", Math.floor(left / 60) % 60], ["second", left % 60]];
    const first = parts.findIndex(([, value]) => value > 0);
    return parts.slice(first < 0 ? 3 : first).slice(0, 2).filter(([, value], at) => value > 0 || at === 0).map(([name, value]) => unit(name, value)).join(" ");
  };

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  // As wallet/pages/dates.py writes it: "31 Mar 2027, 6:30 pm".
  const clock = new Intl.DateTimeFormat(page, { day: "numeric", month: "short", year: "numeric", hour: "numeric", minute: "2-digit", hour12: true, timeZone: here });
  const write = (time) => {
    const part = Object.fromEntries(clock.formatToParts(new Date(time.dateTime)).map(({ type, value }) => [type, value]));
    const day = `${part.day} ${part.month} ${part.year}`;
    const full = `${day}, ${part.hour}:${part.minute} ${part.dayPeriod.toLowerCase()}`;
    if (time.title) time.title = full;
    if ("lastDay" in time.dataset) return;
    put(time, "day" in time.dataset ? day : full);
  };

  // "Ends 24 Nov 2026, 6:30 pm" becomes "Ends in 5 hr 12 min"; the time itself stays in the title.
  const count = (time) => {
    const mark = "ends" in time.dataset ? "ends" : "opens";
    const left = Date.parse(time.dateTime) - Date.now();
    if (left >= 2 * DAY) return;
    if (time.parentElement.childNodes.length > 1) time.parentElement.replaceChildren(time);
    put(time, left > 0 ? words[mark].replace("{time}", span(left)) : mark === "ends" ? words.over : words.open);
    const row = time.closest("[data-row]");
    if (left <= 0 && row) {
      row.classList.add("still");
      row.querySelectorAll("button").forEach((button) => { button.disabled = true; });
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

  const enliven = (part) => {
    if (isFirstVisit) part.querySelectorAll("time[datetime]").forEach(write);
    part.querySelectorAll("button[data-wait]:not([data-said])").forEach((button) => {
      Object.assign(button.dataset, { said: button.textContent, until: Date.now() + 1000 * button.dataset.wait });
      if (document.activeElement === button) button.dataset.focus = "1";
      button.disabled = true;
    });
    part.querySelectorAll('input[type="password"]').forEach(show);
    tick();
  };

  const trouble = document.getElementById("trouble");
  const say = (text) => { trouble.textContent = text; };

  if (here) {
    document.cookie = `timezone=${here}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  }
  if (isFirstVisit) {
    const name = new Intl.DateTimeFormat(language, { timeZone: here, timeZoneName: "long" }).formatToParts().find((part) => part.type === "timeZoneName");
    const zone = document.getElementById("zone");
    zone.textContent = zone.dataset.text.replace("{zone}", name.value);
    document.querySelectorAll("[data-zone-name]").forEach((node) => put(node, name.value));
    // The days of the wallet's chart are counted by the server.
    if (document.getElementById("wallet")) htmx.ajax("GET", location.href, { target: "#wallet", select: "#wallet", swap: "outerHTML" });
  }
  enliven(document);
  document.querySelector('[aria-invalid="true"]')?.focus();
  setInterval(tick, 1000);

  const on = (name, act) => document.addEventListener(`htmx:${name}`, ({ detail }) => act(detail));
  on("afterSwap", ({ target }) => enliven(target.isConnected ? target : document));
  on("oobAfterSwap", () => enliven(document));
  // A claim by a button goes where the button leads without a script, and names the parts of the page that it may change.
  on("configRequest", (request) => {
    if (request.verb !== "post") return;
    request.path = request.elt.getAttribute("formaction") ?? request.path;
    document.querySelectorAll(".claimable[id], [id^='head-'], #wallet").forEach((part) => request.parameters.append("shown", part.id));
  });
  // A part whose own claim is under way is left alone by the answer to another: its own answer would find it gone.
  on("oobBeforeSwap", (swap) => {
    if (swap.target.querySelector(".htmx-request")) swap.shouldSwap = false;
  });
  on("beforeRequest", () => say(""));
  on("sendError", () => say(trouble.dataset.offline));
  on("timeout", () => say(trouble.dataset.offline));
  on("responseError", ({ xhr }) => say(xhr.status === 403 ? trouble.dataset.old : trouble.dataset.broken));
})();
