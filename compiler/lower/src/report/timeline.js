(() => {
  "use strict";
  const svg = document.getElementById("timeline");
  const bars = document.getElementById("bars");
  const ticks = document.getElementById("ticks");
  const told = document.getElementById("told");
  const run = JSON.parse(document.getElementById("run").textContent);
  const space = svg.namespaceURI;
  const { cycles, left, width } = run;
  const shortest = Math.min(cycles, 40);
  let from = 0, to = cycles;
  document.documentElement.classList.add("has-script");

  const number = (n) => Math.round(n).toLocaleString("en-US");
  const y = (lane) => 4 + 38 * lane;

  // Calls `draw` for what of a regular run of `count` things is in view; of things closer than half
  // a unit of the drawing, for all of them as one.
  const each = (first, count, pitch, length, draw) => {
    const unit = (to - from) / width / 2;
    if (first > to || first + (count - 1) * pitch + length < from) return;
    if (count > 1 && pitch - length < unit && pitch < 6 * unit) {
      draw(first, first + (count - 1) * pitch + length, 0, count);
      return;
    }
    const low = pitch ? Math.max(0, Math.floor((from - first - length) / pitch)) : 0;
    const high = pitch ? Math.min(count - 1, Math.ceil((to - first) / pitch)) : 0;
    let last = -Infinity;
    for (let i = low; i <= high; i++) {
      const at = first + i * pitch;
      if (at - last < unit) continue;
      last = at;
      draw(at, at + length, i, 1);
    }
  };

  const put = (lane, begin, end, colour, text, light, inset) => {
    const a = Math.max(begin, from), b = Math.min(end, to);
    if (b < a) return;
    const rect = document.createElementNS(space, "rect");
    const scale = width / (to - from);
    rect.setAttribute("x", (left + (a - from) * scale).toFixed(2));
    rect.setAttribute("y", y(lane) + inset);
    rect.setAttribute("width", Math.max((b - a) * scale, 0.5).toFixed(2));
    rect.setAttribute("height", 26 - 2 * inset);
    rect.setAttribute("fill", colour);
    if (light) rect.setAttribute("opacity", "0.45");
    rect.dataset.told = text;
    bars.append(rect);
  };

  const of = (step) => {
    const [op, what] = run.steps[step] ?? [null, ""];
    const known = op === null ? null : run.ops[op];
    return {
      colour: known ? known[2] : "var(--soft)",
      text: known ? `${what}; line ${known[1]}: ${known[0]}` : what,
    };
  };
  const span = (a, b) => `clocks ${number(a)} to ${number(b)}`;

  const draw = () => {
    bars.replaceChildren();
    for (const [step, act, count, pitch, read, through, closed, columns, row, joined] of run.rows) {
      const { colour, text } = of(step);
      each(act, count, pitch, closed, (a, b, i, n) => {
        const what = joined ? `${number(columns)} columns of several rows`
          : n > 1 ? `${n} rows of ${columns} columns` : `row ${row + i}, ${columns} columns`;
        const more = n > 1 || joined ? "" :
          `: activate ${number(a)}, reads ${number(a + read)} to ${number(a + through)}, closed ${number(b)}`;
        put(0, a, b, colour, `${what}, ${span(a, b)}${more}; ${text}`, n === 1 && !joined, 0);
        if (n === 1 && !joined) put(0, a + read, a + through, colour, `${what} is read; ${text}`, false, 5);
      });
      each(act + read, count, pitch, through - read, (a, b, i, n) => {
        put(1, a, b, colour, `columns, ${span(a, b)}; ${text}`, false, 0);
      });
    }
    for (const [step, a, b] of run.buffer) {
      if (b < from || a > to) continue;
      const { colour, text } = of(step);
      put(2, a, b, colour, `${span(a, b)}; ${text}`, false, 0);
    }
    for (const [first, count, pitch] of run.refreshes) {
      each(first, count, pitch, run.rfc, (a, b, i, n) => {
        put(3, a, b, "var(--soft)", `${n > 1 ? n + " refreshes" : "refresh"}, ${span(a, b)}`, false, 0);
      });
    }
    ticks.replaceChildren();
    for (let i = 0; i <= 4; i++) {
      const text = document.createElementNS(space, "text");
      text.setAttribute("x", left + (width * i) / 4);
      text.setAttribute("y", 170);
      text.setAttribute("class", "tick");
      text.textContent = number(from + ((to - from) * i) / 4);
      ticks.append(text);
    }
  };

  let waiting = false;
  const show = (a, b) => {
    const length = Math.min(Math.max(b - a, shortest), cycles);
    from = Math.min(Math.max(a, 0), cycles - length);
    to = from + length;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };

  // The clock under the pointer.
  const clock = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 1000;
    return from + ((x - left) / width) * (to - from);
  };

  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = clock(event), scale = Math.exp(event.deltaY * 0.002);
    const length = Math.min(Math.max((to - from) * scale, shortest), cycles);
    const begin = at - ((at - from) / (to - from)) * length;
    show(begin, begin + length);
  }, { passive: false });

  let grip = null;
  svg.addEventListener("pointerdown", (event) => {
    grip = { x: event.clientX, from, to };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (grip) {
      const moved = ((event.clientX - grip.x) / svg.getBoundingClientRect().width) * 1000;
      const clocks = (moved / width) * (grip.to - grip.from);
      show(grip.from - clocks, grip.to - clocks);
      return;
    }
    const text = event.target.dataset?.told ?? event.target.querySelector?.("title")?.textContent;
    told.textContent = text || "\u00a0";
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { grip = null; });
  svg.addEventListener("dblclick", () => show(0, cycles));
  // For a look at one part by its address: report.html#1000-2000.
  const part = /^#(\d+)-(\d+)$/.exec(location.hash);
  if (part) show(Number(part[1]), Number(part[2])); else draw();
})();
