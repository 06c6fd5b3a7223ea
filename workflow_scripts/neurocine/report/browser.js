"use strict";
(() => {
  const chosen = {};
  const searched = {};
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // --- filters: an element is hidden if it names a key that is filtered to another value ---------------
  const keys = () => Object.keys(chosen).filter((key) => chosen[key]);
  const fits = (element) =>
    keys().every((key) => !(key in element.dataset) || element.dataset[key] === chosen[key]);

  function apply() {
    for (const element of all("[data-subject], [data-experiment]")) {
      const table = element.closest("table");
      const words = (table && searched[table.id]) || "";
      const found = !words || words.split(/\s+/).every((word) => element.textContent.toLowerCase().includes(word));
      element.hidden = !(fits(element) && found);
    }
    for (const line of all("[data-count]")) {
      const rows = all(`#${line.dataset.count} tbody tr`);
      line.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    }
  }
  for (const control of all("[data-filter]")) {
    control.addEventListener("change", () => {
      const off = control.type === "checkbox" && !control.checked;
      chosen[control.dataset.filter] = off ? "" : control.value;
      if (control.dataset.filter === "experiment" && control.value) {
        for (const fold of all("details.fold")) fold.open = fold.dataset.experiment === control.value;
      }
      apply();
    });
  }
  for (const field of all("[data-search]")) {
    field.addEventListener("input", () => {
      searched[field.dataset.search] = field.value.trim().toLowerCase();
      apply();
    });
  }

  // --- sorting: buttons in the header; numbers as numbers, missing ones last --------------------------
  function value(row, column) {
    const cell = row.cells[column];
    const order = cell.dataset.order;
    if (order === undefined) return cell.textContent.trim();
    return order === "nan" ? null : Number(order);
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }
  function sort(head) {
    const table = head.closest("table");
    const column = head.cellIndex;
    const down = head.classList.contains("number")
      ? head.ariaSort !== "descending" // large numbers first
      : head.ariaSort === "ascending";
    for (const other of all("th", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row) => [value(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const button of all("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }

  // --- pictures open in place; films play together ----------------------------------------------------
  const dialog = document.getElementById("zoom");
  for (const link of all("a.zoom")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const picture = dialog.querySelector("img");
      picture.src = link.href;
      picture.alt = link.querySelector("img").alt;
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", (event) => {
    if (event.target.tagName !== "BUTTON") dialog.close();
  });
  const play = document.getElementById("play");
  play.hidden = !document.querySelector("video");
  play.addEventListener("click", () => {
    const films = all("video").filter((film) => film.offsetParent);
    const start = films.some((film) => film.paused);
    for (const film of films) {
      film.currentTime = 0;
      if (start) film.play();
      else film.pause();
    }
    play.textContent = start ? "Pause all" : "Play all";
  });
  apply();
})();
