// What the theme leaves out for those who use no mouse or no eyes: names, and keys for what is only clicked.
document.addEventListener("DOMContentLoaded", () => {
  const words = document.getElementById("main")?.dataset;
  if (!words) return;
  // A sign's name is a word of English that only eyes should meet as a sign; whoever is nothing but a sign gets a name.
  const names = { search: words.search, savings: words.home, close: words.close, more_vert: words.more, more_horiz: words.more };
  for (const icon of document.querySelectorAll(".material-symbols-outlined:not([x-on\\:click])")) icon.setAttribute("aria-hidden", "true");
  for (const part of document.querySelectorAll("a, button, [x-on\\:click]")) {
    const name = names[part.textContent.trim()];
    if (name && !part.title && !part.ariaLabel) part.ariaLabel = name;
  }

  // The theme's scrolled boxes would all be named alike; this runs before they are made.
  const boxes = { "nav-sidebar-apps": words.sections };
  for (const box of document.querySelectorAll("[data-simplebar]")) {
    const name = boxes[box.id] ?? (box.querySelector("#result_list") ? words.list : words.filters);
    box.setAttribute("data-simplebar-aria-label", name);
  }

  // On a phone each cell bears its column's name; the theme takes the first for the one to choose by, whatever it holds.
  const first = document.querySelector("#result_list thead th .text")?.textContent.trim();
  for (const cell of document.querySelectorAll("#result_list tbody tr > :first-child[data-label]")) {
    if (first && !cell.querySelector("input")) cell.dataset.label = first;
  }

  // A column of counts or amounts is aligned to the right, as in our own tables.
  const figure = /^[\d,]+(\.\d+)?\+?(\s[A-Z]{3})?$/u;
  const [head, ...rows] = document.querySelectorAll("#result_list tr");
  for (const [place, name] of [...(head?.children ?? [])].entries()) {
    const column = rows.map((row) => row.children[place]).filter(Boolean);
    const filled = column.filter((cell) => !["", "-", "no limit"].includes(cell.textContent.trim()));
    if (filled.length === 0 || !filled.every((cell) => figure.test(cell.textContent.trim()))) continue;
    for (const cell of [name, ...column]) cell.classList.add("figures-column");
  }

  // The theme names the cell and its box after a record.
  for (const cell of document.querySelectorAll('[data-label="Select record"]')) cell.dataset.label = words.select;
  for (const box of document.querySelectorAll("input.action-select")) box.ariaLabel = words.select;

  for (const part of document.querySelectorAll("div[x-on\\:click], span[x-on\\:click]")) {
    if (part.id === "changelist-filter-close") continue;
    part.setAttribute("role", "button");
    part.tabIndex = 0;
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      part.click();
    });
  }
});
