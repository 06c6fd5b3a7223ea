"use strict";
(() => {
  const chosen = {};
  const searched = {};
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // --- filters: an element is hidden if it names a key that is filtered to another value ---------------
  const keys = () => Object.keys(chosen).filter((key) => chosen[key]);
  const fits = (named) => keys().every((key) => !(key in named) || named[key] === chosen[key]);
  const holds = (text, table) =>
    (searched[table] || "").split(/\s+/).every((word) => text.toLowerCase().includes(word));

  function apply() {
    for (const element of all("[data-subject], [data-experiment], [data-system]")) {
      if (scores.contains(element)) continue;
      const table = element.closest("table");
      element.hidden = !(fits(element.dataset) && (!table || holds(element.textContent, table.id)));
    }
    found = records.filter((record) => fits(record.keys) && holds(record.text, scores.id));
    limit = SOME;
    draw();
    const count = (table) => {
      if (table === scores.id) return [found.length, records.length];
      const rows = all(`#${table} tbody tr`);
      return [rows.filter((row) => !row.hidden).length, rows.length];
    };
    for (const line of all("[data-count]")) line.textContent = `${count(line.dataset.count).join(" of ")} rows`;
  }

  // --- scores are data, of which some are drawn: a study can have tens of thousands -------------------
  const SOME = 200;
  const scores = document.getElementById("scores-table");
  const more = document.getElementById("more");
  const records = JSON.parse(document.getElementById("scores-rows").textContent).map(([html, id, keys, values]) => ({
    html, id, keys, values, text: html.replace(/<[^>]*>/g, " ").replace(/_ /g, "_"),
  }));
  let found = records; // those that fit the filters, in order
  let limit = SOME;

  function element(record) {
    if (!record.element) {
      const body = document.createElement("tbody");
      body.innerHTML = record.html;
      record.element = body.firstChild;
    }
    return record.element;
  }
  function draw() {
    scores.tBodies[0].replaceChildren(...found.slice(0, limit).map(element));
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(SOME, found.length - limit)} more of ${found.length} rows`;
    if (found.length) reach(found[0]);
  }
  more.addEventListener("click", () => {
    limit += SOME;
    draw();
  });
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
    const inOrder = (pair, other) => {
      const [a, b] = [pair[0], other[0]];
      if (a === null || b === null) return (a === null) - (b === null);
      return down ? compare(b, a) : compare(a, b);
    };
    if (table === scores) {
      const pairs = records.map((record) => [record.values[column], record]).sort(inOrder);
      records.splice(0, records.length, ...pairs.map(([, record]) => record));
      apply();
      return;
    }
    const body = table.tBodies[0];
    const pairs = Array.from(body.rows).map((row) => [value(row, column), row]).sort(inOrder);
    body.append(...pairs.map(([, row]) => row));
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
  const detail = document.getElementById("detail");
  const recordOf = (row) => found.find((record) => record.element === row);
  let opened = null;

  function shownClips(record) {
    const template = all("template.details").find(({ dataset }) =>
      Object.keys(dataset).every((key) => dataset[key] === record.keys[key]),
    );
    if (!template) return "";
    const content = template.content.cloneNode(true);
    const blocks = all(".shown", content);
    const own = blocks.find((block) => block.dataset.condition === record.keys.condition);
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

  function show(record) {
    opened = record;
    const row = element(record);
    const { subject, experiment, condition, metric, above } = record.keys;
    detail.querySelector("h3").textContent = `Subject ${subject} · ${experiment} · ${condition} · ${metric}`;
    document.getElementById("detail-note").textContent =
      `${row.querySelector("[title]").title}; ` +
      (above === "yes" ? "better than 99 % of its null." : "not better than 99 % of its null.");
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
    document.getElementById("detail-more").replaceChildren(shownClips(record));
    zoomable(detail);
    for (const film of all("video", detail)) sight.observe(film);
    for (const button of all("[data-step]", detail)) {
      button.disabled = !found[found.indexOf(record) + Number(button.dataset.step)];
    }
    if (!detail.open) detail.showModal();
    detail.scrollTop = 0;
  }
  function step(by) {
    const next = found[found.indexOf(opened) + by];
    if (next) show(next);
  }
  for (const button of all("[data-step]", detail)) {
    button.addEventListener("click", () => step(Number(button.dataset.step)));
  }
  document.addEventListener("keydown", (event) => {
    if (!detail.open || dialog.open || event.target.tagName === "VIDEO") return; // a film has its own keys
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
  });
  for (const button of all("[data-row]")) {
    button.addEventListener("click", () => show(records.find((record) => record.id === button.dataset.row)));
  }

  // One row is reached by the tab key, the others from it by arrow keys.
  function reach(record) {
    for (const other of all(".open[tabindex='0']", scores)) other.tabIndex = -1;
    const button = element(record).querySelector(".open");
    button.tabIndex = 0;
    return button;
  }
  scores.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row || window.getSelection().toString()) return;
    reach(recordOf(row));
    show(recordOf(row));
  });
  scores.addEventListener("keydown", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row) return;
    const place = found.indexOf(recordOf(row));
    const last = Math.min(limit, found.length) - 1;
    const moves = { ArrowDown: Math.min(place + 1, last), ArrowUp: Math.max(place - 1, 0), Home: 0, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    reach(found[moves[event.key]]).focus();
  });
  apply();
})();
