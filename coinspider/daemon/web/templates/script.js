"use strict";
(() => {
  // A chart tells its values under the pointer, and by the arrow keys.
  const enliven = (chart) => {
    const marks = JSON.parse(chart.dataset.chart);
    const output = chart.parentElement.querySelector("output");
    const [line, dot] = chart.querySelectorAll(".cursor");
    let at = marks.length - 1;
    const show = (index) => {
      at = Math.max(0, Math.min(marks.length - 1, index));
      const [x, y, time, value] = marks[at];
      for (const name of ["x1", "x2"]) line.setAttribute(name, `${x * 100}%`);
      dot.setAttribute("cx", `${x * 100}%`);
      dot.setAttribute("cy", `${y * 100}%`);
      output.textContent = `${time}: ${value}`;
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.querySelector(".plot").getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      let nearest = 0;
      marks.forEach((mark, index) => {
        if (Math.abs(mark[0] - share) < Math.abs(marks[nearest][0] - share)) nearest = index;
      });
      show(nearest);
    });
    chart.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(at + steps[event.key]);
    });
  };
  document.querySelectorAll("[data-chart]").forEach(enliven);

  // A second click before the answer comes is none.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });

  // What is not filled in is not in the address.
  for (const form of document.querySelectorAll("form[method=get]")) {
    form.addEventListener("formdata", ({ formData }) => {
      for (const [name, value] of [...formData]) if (!value) formData.delete(name);
      const usual = form.dataset.columns;
      if (usual && formData.getAll("columns").join() === usual) formData.delete("columns");
    });
  }

  // What a crawl has changed comes in by itself, without losing the place.
  const live = document.querySelector("[data-live]");
  if (!live) return;
  let seen = null;
  const newest = async () => {
    const answer = await fetch("crawls.json?limit=1", { headers: { Accept: "application/json" } });
    const [crawl] = (await answer.json()).crawls;
    // The page of the crawls shows how far one is.
    return crawl ? `${crawl.id} ${crawl.outcome} ${live.dataset.live === "crawls" && crawl.page_count}` : "";
  };
  const refresh = async () => {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(`[data-live="${live.dataset.live}"]`);
    if (!fresh) return;
    const scrolled = [...live.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
    const links = () => [...live.querySelectorAll("a, button, select")];
    const focused = links().indexOf(document.activeElement);
    live.replaceChildren(...fresh.childNodes);
    live.querySelectorAll("[data-chart]").forEach(enliven);
    live.querySelectorAll(".scroll").forEach((one, index) => {
      if (scrolled[index]) [one.scrollLeft, one.scrollTop] = scrolled[index];
    });
    if (focused >= 0) links()[focused]?.focus({ preventScroll: true });
  };
  const look = async () => {
    if (document.hidden) return;
    try {
      const now = await newest();
      if (seen !== null && now !== seen) await refresh();
      seen = now;
    } catch {
      // scrapyd is away; the next look may find it.
    }
  };
  look();
  setInterval(look, 5000);
})();
