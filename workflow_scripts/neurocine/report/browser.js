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
    reachFirst();
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
    if (table === scores) reachFirst();
  }
  for (const button of all("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }

  // --- pictures open in place; films play together ----------------------------------------------------
  const dialog = document.getElementById("zoom");
  function zoomable(root) {
    for (const link of all("a.zoom", root)) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        const picture = dialog.querySelector("img");
        picture.src = link.href;
        picture.alt = link.querySelector("img").alt;
        dialog.showModal();
      });
    }
  }
  zoomable(document);
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
  // Films are read when they come into sight: a large study has hundreds.
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      target.preload = "metadata";
      sight.unobserve(target);
    }
  });
  for (const film of all("video")) sight.observe(film);

  // --- details: a row of scores opens with its clips, maps, settings and cost -------------------------
  const scores = document.getElementById("scores-table");
  const detail = document.getElementById("detail");
  const rows = () => Array.from(scores.tBodies[0].rows).filter((row) => !row.hidden);
  const same = (element, row) =>
    ["subject", "method", "experiment"].every((key) => element.dataset[key] === row.dataset[key]);
  let opened = null;

  function shownClips(row) {
    const template = all("template.details").find((element) => same(element, row));
    if (!template) return "";
    const content = template.content.cloneNode(true);
    const blocks = all(".shown", content);
    const own = blocks.find((block) => block.dataset.condition === row.dataset.condition);
    const kept = own || blocks.find((block) => block.dataset.condition === "fmri");
    for (const block of blocks) if (block !== kept) block.remove();
    if (kept && !own) {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = "No films are made of this condition; these were decoded from fMRI.";
      kept.prepend(note);
    }
    return content;
  }

  function show(row) {
    opened = row;
    const { subject, experiment, condition, metric } = row.dataset;
    detail.querySelector("h3").textContent = `Subject ${subject} · ${experiment} · ${condition} · ${metric}`;
    document.getElementById("detail-note").textContent =
      `${row.querySelector("[title]").title}; ` +
      (row.dataset.above === "yes" ? "better than 99 % of its null." : "not better than 99 % of its null.");
    document.getElementById("detail-drawn").replaceChildren(row.querySelector(".track").cloneNode(true));
    const heads = all("th", scores).map((head) => head.textContent);
    const list = detail.querySelector(".numbers");
    list.replaceChildren();
    heads.forEach((head, column) => {
      const cell = row.cells[column];
      if (column < 5 || cell.classList.contains("drawn")) return; // in the heading and above
      const entry = document.createElement("div");
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = head;
      value.textContent = cell.textContent;
      entry.append(name, value);
      list.append(entry);
    });
    document.getElementById("detail-more").replaceChildren(shownClips(row));
    zoomable(detail);
    for (const film of all("video", detail)) sight.observe(film);
    if (!detail.open) detail.showModal();
    detail.scrollTop = 0;
    const visible = rows();
    for (const button of all("[data-step]", detail)) {
      button.disabled = !visible[visible.indexOf(row) + Number(button.dataset.step)];
    }
  }
  function step(by) {
    const visible = rows();
    const next = visible[visible.indexOf(opened) + by];
    if (next) show(next);
  }
  for (const button of all("[data-step]", detail)) {
    button.addEventListener("click", () => step(Number(button.dataset.step)));
  }
  detail.addEventListener("keydown", (event) => {
    if (event.target.tagName === "VIDEO") return; // its own keys
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  detail.addEventListener("click", (event) => {
    if (event.target === detail || event.target.closest("[data-close]")) detail.close();
    const link = event.target.closest('a[href^="#"]');
    if (link) detail.close();
  });
  detail.addEventListener("close", () => {
    document.getElementById("detail-more").replaceChildren(); // stops its films
    if (opened && !opened.hidden) reach(opened.querySelector(".open"));
  });
  for (const button of all("[data-row]")) {
    button.addEventListener("click", () => show(document.getElementById(button.dataset.row)));
  }

  // One row is reached by the tab key, the others from it by arrow keys.
  function reach(button) {
    for (const other of all(".open[tabindex='0']", scores)) other.tabIndex = -1;
    button.tabIndex = 0;
  }
  scores.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row || window.getSelection().toString()) return;
    reach(row.querySelector(".open"));
    show(row);
  });
  scores.addEventListener("keydown", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row) return;
    const visible = rows();
    const place = visible.indexOf(row);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: visible.length - 1 };
    const next = visible[moves[event.key]];
    if (!next) return;
    event.preventDefault();
    reach(next.querySelector(".open"));
    next.querySelector(".open").focus();
  });
  function reachFirst() {
    const [first] = rows();
    if (first) reach(first.querySelector(".open"));
  }
  apply();
})();
