"use strict";
{
  const $ = (selector) => document.querySelector(selector);
  const table = $("table");
  const heads = [...document.querySelectorAll("thead th")];
  const totals = [...document.querySelectorAll("#totals li")];
  const [text, byChange] = document.querySelectorAll("#tools input");
  const count = $("#tools output");
  const more = $("#more");
  // Laying out thousands of rows is slow, so further apps are shown on request.
  const PAGE_SIZE = 500;
  const made = Date.parse($("#made").dateTime);
  const TEXT_COLUMNS = /^(app|state)$/; // sorted ascending first, all others descending first
  let apps = [...table.tBodies].map((body, index) => ({
    body,
    index,
    state: body.classList[0],
    cells: body.rows[0].cells,
    text: body.rows[0].cells[0].textContent.toLowerCase(),
  }));
  const severity = totals.map((total) => total.dataset.state);
  const shown = { q: "", state: "", sort: "", dir: "", by: "" };

  // --- Sort keys

  const number = (formatted) => parseFloat(formatted.replace(/,/g, "").replace("\u2212", "-"));
  const keyOf = ({ cells, state }, column) => {
    const cell = cells[column];
    switch (heads[column].dataset.key) {
      case "app":
        return cell.textContent.toLowerCase();
      case "state":
        return severity.indexOf(state);
      case "chart":
        return number(cell.dataset.share ?? "");
      case "period":
      case "success":
      case "next":
        return cell.querySelector("time")?.dateTime ?? NaN;
      default:
        if (cell.dataset.share && !shown.by) return number(cell.dataset.share);
        return number((shown.by ? cell.querySelector("small") : cell.firstChild)?.textContent ?? "");
    }
  };
  const isUnknown = (key) => key !== key; // NaN; sorted last in both directions
  const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

  const order = () => {
    const column = heads.findIndex((head) => head.dataset.key === shown.sort);
    const sign = shown.dir === "desc" ? -1 : 1;
    const keyed = apps.map((app) => ({ app, key: column < 0 ? 0 : keyOf(app, column) }));
    keyed.sort(
      (one, other) =>
        isUnknown(one.key) - isUnknown(other.key) ||
        sign * compare(one.key, other.key) ||
        one.app.index - other.app.index,
    );
    apps = keyed.map(({ app }) => app);
    table.append(...apps.map(({ body }) => body));
    heads.forEach((head, index) =>
      head.setAttribute("aria-sort", index !== column ? "none" : sign > 0 ? "ascending" : "descending"),
    );
  };

  let limit = PAGE_SIZE;
  const filter = () => {
    const query = shown.q.trim().toLowerCase();
    let found = 0;
    for (const { body, text } of apps) {
      const matches = (!shown.state || body.classList.contains(shown.state)) && text.includes(query);
      found += matches;
      const visible = matches && found <= limit;
      if (body.hidden === visible) body.hidden = !visible;
    }
    more.hidden = found <= limit;
    more.firstChild.textContent = `Show ${found - limit} more`;
    count.textContent = found === apps.length ? "" : `${found} of ${apps.length} apps`;
    for (const total of totals) {
      total.firstChild.setAttribute("aria-pressed", total.dataset.state === shown.state);
    }
  };

  const show = () => {
    limit = PAGE_SIZE;
    order();
    filter();
  };

  // --- Filter and order are kept in the fragment of the URL, so that a link to them can be shared

  const write = () => {
    const params = new URLSearchParams(Object.entries(shown).filter(([, value]) => value));
    history.replaceState(null, "", params.size ? `#${params}` : location.pathname + location.search);
  };
  const read = () => {
    const fragment = location.hash.slice(1);
    if (document.getElementById(fragment)) return;
    const params = new URLSearchParams(fragment);
    for (const key of Object.keys(shown)) shown[key] = params.get(key) ?? "";
    if (!severity.includes(shown.state)) shown.state = "";
    text.value = shown.q;
    byChange.checked = shown.by === "change";
    shown.by = byChange.checked ? "change" : "";
    show();
  };

  // --- Relative times
  // They follow the exporter's clock, since the clock of this computer may be wrong: the page is assumed to be new when it
  // is loaded. A saved file has the local clock only.

  const offset = location.protocol === "file:" ? 0 : made - Date.now();
  const now = () => Date.now() + offset;
  const relativeTime = (instant, isFetch) => {
    const seconds = Math.round((instant - now()) / 1000);
    const size = Math.abs(seconds);
    if (size < 5) return "now";
    if (seconds < 0 && isFetch) return "due";
    const [unit, name] = size < 90 ? [1, "s"] : size < 5400 ? [60, "min"] : size < 129600 ? [3600, "h"] : [86400, "days"];
    const amount = `${Math.round(size / unit)} ${name}`;
    return seconds < 0 ? `${amount} ago` : `in ${amount}`;
  };
  const times = [...document.querySelectorAll('time[datetime*="T"]')].map((time) => {
    const relative = document.createElement("span");
    time.before(relative, " ");
    const isFetch = heads[time.parentElement.cellIndex]?.dataset.key === "next";
    return { relative, isFetch, instant: Date.parse(time.dateTime) };
  });
  const STALE_MS = 600_000; // the age from which the page is marked as outdated
  const age = $("#age");
  const tick = () => {
    for (const { relative, isFetch, instant } of times) {
      const label = relativeTime(instant, isFetch);
      if (relative.textContent !== label) relative.textContent = label;
    }
    age.classList.toggle("problem", now() - made >= STALE_MS);
  };

  // --- Buttons; they are created here, because without scripts they would do nothing

  const makeButton = (element, onClick) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...element.childNodes);
    button.addEventListener("click", onClick);
    element.replaceChildren(button);
  };
  for (const head of heads) {
    makeButton(head, () => {
      const { key } = head.dataset;
      const [first, second] = TEXT_COLUMNS.test(key) ? ["asc", "desc"] : ["desc", "asc"];
      if (shown.sort !== key) [shown.sort, shown.dir] = [key, first];
      else if (shown.dir === first) shown.dir = second;
      else shown.sort = shown.dir = "";
      show();
      write();
    });
  }
  for (const total of totals) {
    makeButton(total, () => {
      const { state } = total.dataset;
      shown.state = shown.state === state ? "" : state;
      limit = PAGE_SIZE;
      filter();
      write();
    });
  }
  let pending; // filtering thousands of apps waits for a pause in typing
  text.addEventListener("input", () => {
    shown.q = text.value;
    limit = PAGE_SIZE;
    clearTimeout(pending);
    pending = setTimeout(() => (filter(), write()), apps.length > 500 ? 120 : 0);
  });
  byChange.addEventListener("change", () => {
    shown.by = byChange.checked ? "change" : "";
    show();
    write();
  });
  makeButton($("#age > :last-child"), () => location.reload());
  addEventListener("beforeprint", () => {
    limit = Infinity;
    filter();
  });
  makeButton(more, () => {
    limit = Infinity;
    filter();
  });

  $("#tools").hidden = false;
  addEventListener("hashchange", read);
  read();
  tick();
  setInterval(tick, 15000);
}
