"use strict";
(() => {
  const LOOK = 5000; // milliseconds

  // A chart tells its values under the pointer, and by the arrow keys.
  const enlivened = new WeakMap(); // to a function that tells the value again
  const enliven = (chart) => {
    let at = null;
    const marks = () => JSON.parse(chart.dataset.chart);
    const show = (index, all = marks()) => {
      at = Math.max(0, Math.min(all.length - 1, index));
      const [x, y, time, value] = all[at];
      const [line, dot] = chart.querySelectorAll(".cursor");
      for (const name of ["x1", "x2"]) line.setAttribute(name, `${x * 100}%`);
      dot.setAttribute("cx", `${x * 100}%`);
      dot.setAttribute("cy", `${y * 100}%`);
      chart.parentElement.querySelector("output").textContent = `${time}: ${value}`;
    };
    for (const name of ["pointermove", "pointerdown"]) chart.addEventListener(name, (event) => {
      const box = chart.querySelector(".plot").getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const all = marks();
      let nearest = 0;
      all.forEach((mark, index) => {
        if (Math.abs(mark[0] - share) < Math.abs(all[nearest][0] - share)) nearest = index;
      });
      show(nearest, all);
    });
    chart.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const all = marks();
      show((at ?? all.length - 1) + steps[event.key], all);
    });
    enlivened.set(chart, () => at !== null && show(at));
  };
  const tellCharts = () => document.querySelectorAll("[data-chart]").forEach((chart) => {
    if (enlivened.has(chart)) enlivened.get(chart)();
    else enliven(chart);
  });
  tellCharts();

  // A second click before the answer comes is none.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });

  // What is not filled in, or as usual, is not in the address.
  for (const form of document.querySelectorAll("form[method=get]")) {
    form.addEventListener("formdata", ({ formData }) => {
      const usual = JSON.parse(form.dataset.usual ?? "{}");
      for (const name of new Set([...formData.keys()])) {
        const value = formData.getAll(name).join();
        if (!value || value === usual[name]) formData.delete(name);
      }
    });
  }

  // The names of coins come while one types.
  const compare = document.querySelector("#compare");
  let typing;
  compare?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(async () => {
      const currency = compare.form.elements.currency.value;
      const query = new URLSearchParams({ search: compare.value, currency, limit: 8, columns: "name,symbol" });
      const answer = await fetch(`coins.json?${query}`).catch(() => null);
      if (!answer?.ok) return;
      const { coins } = await answer.json();
      const option = ({ coin_id, name, symbol }) => new Option(`${name} ${symbol.toUpperCase()}`, coin_id);
      compare.list.replaceChildren(...coins.map(option));
    }, 200);
  });

  // What a crawl has changed comes in by itself. Only what differs is replaced, so that nobody
  // loses their place, what they typed, or what they opened.
  const lives = () => [...document.querySelectorAll("[data-live]")];
  if (!lives().length) return;
  if (lives()[0].dataset.live === "error") {
    setInterval(async () => {
      const answer = document.hidden ? null : await fetch(location.href).catch(() => null);
      if (answer?.ok) location.replace(location.href.split("#")[0]); // and send no form again
    }, LOOK);
    return;
  }
  const replace = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    const alike = old.nodeName === fresh.nodeName && old.childNodes.length === fresh.childNodes.length;
    if (!alike) return old.replaceWith(fresh);
    if (old.nodeType === Node.TEXT_NODE) old.data = fresh.data;
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    const names = new Set([...old.getAttributeNames(), ...fresh.getAttributeNames()]);
    if (old.nodeName === "DETAILS") names.delete("open");
    for (const name of names) {
      if (fresh.hasAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
      else old.removeAttribute(name);
    }
    const children = [...fresh.childNodes];
    [...old.childNodes].forEach((child, index) => replace(child, children[index]));
  };
  const refresh = async () => {
    const asked = location.href;
    const answer = await fetch(asked);
    // A page with an argument that can't be read has the others' values.
    if (answer.status >= 500) throw new Error(answer.status);
    if (asked !== location.href) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const live of lives()) {
      const fresh = page.querySelector(`[data-live="${live.dataset.live}"]`);
      if (fresh) replace(live, document.adoptNode(fresh));
    }
    tellCharts();
  };

  // Coins are found while one types; the key / leads to the field.
  const search = document.querySelector("#search");
  search?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      history.replaceState(null, "", `?${new URLSearchParams(new FormData(search.form))}`);
      refresh().catch(() => search.form.submit());
    }, 250);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    search?.focus();
  });
  const inUse = () => {
    const selection = getSelection();
    const within = (node) => lives().some((live) => live.contains(node));
    return (!selection.isCollapsed && within(selection.anchorNode))
      || (within(document.activeElement) && document.activeElement.matches("input, select"));
  };

  let seen = null, ahead = 0, since = null;
  const newest = async () => {
    const answer = await fetch(new URL("crawls.json?limit=3", document.querySelector(".brand").href));
    if (!answer.ok) throw new Error(answer.status);
    ahead = Date.parse(answer.headers.get("Date")) - Date.now();
    const { crawls } = await answer.json();
    const follows = lives().some((live) => ["overview", "crawls"].includes(live.dataset.live));
    const state = crawls.map((crawl) => `${crawl.id} ${crawl.outcome} ${follows ? crawl.page_count : ""}`);
    if (follows) state.push(Math.floor(Date.now() / 60_000));
    // One may have ended between the page and the first look.
    const last = Math.max(...crawls.map((crawl) => Date.parse(crawl.ended_at) || 0));
    if (seen === null) seen = Date.now() + ahead - last < 2 * LOOK ? "" : state.join();
    return state.join();
  };
  const AGES = [[31_557_600, "y"], [86_400, "d"], [3600, "h"], [60, "min"], [0, "s"]];
  const grow = () => {
    for (const time of document.querySelectorAll("time")) {
      if (!time.textContent.endsWith(" ago")) continue;
      const seconds = Math.max(0, (Date.now() + ahead - Date.parse(time.dateTime)) / 1000);
      const [size, unit] = AGES.find(([least]) => seconds >= least);
      time.textContent = `${Math.floor(seconds / (size || 1))} ${unit} ago`;
    }
  };
  const lost = document.body.appendChild(document.createElement("p"));
  lost.className = "lost";
  lost.setAttribute("role", "status");
  lost.hidden = true;
  const look = async () => {
    if (document.hidden) return;
    try {
      const now = await newest();
      if ((now !== seen || since) && !inUse()) {
        await refresh();
        seen = now;
      }
      since = null;
    } catch {
      since ??= new Date();
      lost.textContent = `No answer since ${since.toLocaleTimeString()}: this may be old.`;
    }
    lost.hidden = !since;
    grow();
  };
  look();
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);

  // A star is set without leaving the place.
  document.addEventListener("click", async (event) => {
    const star = event.target.closest?.(".star a[href], .star button");
    if (!star || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    try {
      const body = star.form && new URLSearchParams(new FormData(star.form, star));
      const answer = await (body ? fetch(location.href, { method: "POST", body }) : fetch(star.href));
      if (!answer.ok) throw new Error(answer.status);
      history.replaceState(null, "", answer.url);
      await refresh();
    } catch {
      if (star.form) star.form.requestSubmit(star);
      else location.assign(star.href);
    }
  });
})();
