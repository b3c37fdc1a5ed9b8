"use strict";
{
  const $ = (selector) => document.querySelector(selector);
  const table = $("table");
  const heads = [...document.querySelectorAll("thead th")];
  const totals = [...document.querySelectorAll("#totals li")];
  const [text, byChange] = document.querySelectorAll("#tools input");
  const count = $("#tools output");
  const more = $("#more");
  const AT_ONCE = 500; // apps that are laid out before somebody asks for all
  const made = Date.parse($("#made").dateTime);
  const words = /^(app|state)$/; // ascending first; of all others the most first
  let apps = [...table.tBodies].map((body, place) => ({
    body,
    place,
    state: body.classList[0],
    cells: body.rows[0].cells,
    text: body.rows[0].cells[0].textContent.toLowerCase(),
  }));
  const severity = totals.map((total) => total.dataset.state);
  const shown = { q: "", state: "", sort: "", dir: "", by: "" };

  // --- what a column is sorted by

  const number = (words) => parseFloat(words.replace(/,/g, "").replace("\u2212", "-"));
  const keyOf = ({ cells, state }, column) => {
    const cell = cells[column];
    switch (heads[column].dataset.key) {
      case "app":
        return cell.textContent.toLowerCase();
      case "state":
        return severity.indexOf(state);
      case "trail":
        return number(cell.dataset.share ?? "");
      case "period":
      case "success":
      case "next":
        return cell.querySelector("time")?.dateTime ?? NaN;
      default:
        return number((shown.by ? cell.querySelector("small") : cell.firstChild)?.textContent ?? "");
    }
  };
  const isNone = (key) => key !== key;
  const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

  const order = () => {
    const column = heads.findIndex((head) => head.dataset.key === shown.sort);
    const sign = shown.dir === "desc" ? -1 : 1;
    const keyed = apps.map((app) => ({ app, key: column < 0 ? 0 : keyOf(app, column) }));
    keyed.sort(
      (one, other) =>
        isNone(one.key) - isNone(other.key) ||
        sign * compare(one.key, other.key) ||
        one.app.place - other.app.place,
    );
    apps = keyed.map(({ app }) => app);
    table.append(...apps.map(({ body }) => body));
    heads.forEach((head, place) =>
      head.setAttribute("aria-sort", place !== column ? "none" : sign > 0 ? "ascending" : "descending"),
    );
  };

  let limit = AT_ONCE;
  const sift = () => {
    const wanted = shown.q.trim().toLowerCase();
    let found = 0;
    for (const { body, text } of apps) {
      const fits = (!shown.state || body.classList.contains(shown.state)) && text.includes(wanted);
      found += fits;
      const visible = fits && found <= limit;
      if (body.hidden === visible) body.hidden = !visible;
    }
    more.hidden = found <= limit;
    more.firstChild.textContent = `Show the other ${found - limit}, too`;
    count.textContent = found === apps.length ? "" : `${found} of ${apps.length} found`;
    for (const total of totals) {
      total.firstChild.setAttribute("aria-pressed", total.dataset.state === shown.state);
    }
  };

  const show = () => {
    limit = AT_ONCE;
    order();
    sift();
  };

  // --- what is shown stands in the fragment, so that a link to it can be shared

  const write = () => {
    const chosen = new URLSearchParams(Object.entries(shown).filter(([, value]) => value));
    history.replaceState(null, "", chosen.size ? `#${chosen}` : location.pathname + location.search);
  };
  const read = () => {
    const fragment = location.hash.slice(1);
    if (document.getElementById(fragment)) return;
    const chosen = new URLSearchParams(fragment);
    for (const key of Object.keys(shown)) shown[key] = chosen.get(key) ?? "";
    if (!severity.includes(shown.state)) shown.state = "";
    text.value = shown.q;
    byChange.checked = shown.by === "change";
    shown.by = byChange.checked ? "change" : "";
    show();
  };

  // --- times that pass, by the exporter's clock: this machine's may be wrong. A page that was saved is as old as it looks

  const behind = location.protocol === "file:" ? 0 : made - Date.now();
  const now = () => Date.now() + behind;
  const ago = (instant, awaited) => {
    const seconds = Math.round((instant - now()) / 1000);
    const size = Math.abs(seconds);
    if (size < 5) return "now";
    if (seconds < 0 && awaited) return "due";
    const [unit, name] = size < 90 ? [1, "s"] : size < 5400 ? [60, "min"] : size < 129600 ? [3600, "h"] : [86400, "days"];
    const amount = `${Math.round(size / unit)} ${name}`;
    return seconds < 0 ? `${amount} ago` : `in ${amount}`;
  };
  const passing = [...document.querySelectorAll('time[datetime*="T"]')].map((time) => {
    const relative = document.createElement("span");
    time.before(relative, " ");
    const awaited = heads[time.parentElement.cellIndex]?.dataset.key === "next";
    return { relative, awaited, instant: Date.parse(time.dateTime) };
  });
  const OLD = 600_000; // milliseconds after which the page says that it is of the past
  const age = $("#age");
  const tick = () => {
    for (const { relative, awaited, instant } of passing) {
      const words = ago(instant, awaited);
      if (relative.textContent !== words) relative.textContent = words;
    }
    age.classList.toggle("problem", now() - made >= OLD);
  };

  // --- what can be pressed

  const press = (place, pressed) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...place.childNodes);
    button.addEventListener("click", pressed);
    place.replaceChildren(button);
  };
  for (const head of heads) {
    press(head, () => {
      const { key } = head.dataset;
      const [first, second] = words.test(key) ? ["asc", "desc"] : ["desc", "asc"];
      if (shown.sort !== key) [shown.sort, shown.dir] = [key, first];
      else if (shown.dir === first) shown.dir = second;
      else shown.sort = shown.dir = "";
      show();
      write();
    });
  }
  for (const total of totals) {
    press(total, () => {
      const { state } = total.dataset;
      shown.state = shown.state === state ? "" : state;
      limit = AT_ONCE;
      sift();
      write();
    });
  }
  let waiting;
  text.addEventListener("input", () => {
    shown.q = text.value;
    limit = AT_ONCE;
    clearTimeout(waiting);
    waiting = setTimeout(() => (sift(), write()), apps.length > 500 ? 120 : 0);
  });
  byChange.addEventListener("change", () => {
    shown.by = byChange.checked ? "change" : "";
    show();
    write();
  });
  press($("#age > :last-child"), () => location.reload());
  addEventListener("beforeprint", () => {
    limit = Infinity;
    sift();
  });
  press(more, () => {
    limit = Infinity;
    sift();
  });

  $("#tools").hidden = false;
  addEventListener("hashchange", read);
  read();
  tick();
  setInterval(tick, 15000);
}
