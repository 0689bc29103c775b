"use strict";
// Draws a story (eplb-story/1), or walks a graph of states (eplb-graph/1).  Rules:
// - What is shown comes from the frames; nothing about guards or kernels is decided here.
// - Text reaches the page as text only (`textContent`), whatever a vector says.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const story = data.story;
  const walks = data.mode !== "story";
  const byId = (id) => document.getElementById(id);

  // The run that is shown: one more frame than steps; `at` is the frame in view.
  let frames = story.frames.slice();
  let steps = story.steps.slice();
  let nodes = walks ? [data.nodes[0]] : []; // of the walk, one per frame
  let at = 0;

  const kernels = Object.keys(story.kernels);
  const colour = (kernel) => {
    const place = kernels.indexOf(kernel);
    return place < 0 ? "var(--quiet)" : `var(--k${place % 6})`;
  };

  function element(tag, settings = {}, children = []) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(settings)) {
      if (key === "text") made.textContent = value;
      else if (key === "colour") made.style.setProperty("--colour", value);
      else if (key === "column") made.style.gridColumn = value;
      else if (key === "row") made.style.gridRow = value;
      else if (key === "click") made.addEventListener("click", value);
      else made.setAttribute(key, value);
    }
    for (const child of [].concat(children)) {
      if (child !== null) made.append(child);
    }
    return made;
  }

  // --- head ---------------------------------------------------------------------------------

  function drawHead() {
    byId("title").textContent = story.title;
    byId("about").textContent = story.about;
    const rows = [["machine", `${story.machine}, ${story.sms} SMs`]]
      .concat(Object.entries(story.parameters).filter(([name]) => name !== "machine"))
      .concat(Object.entries(story.kernels));
    byId("parameters").replaceChildren(...rows.flatMap(([name, value]) => [
      element("dt", {text: name}), element("dd", {text: String(value)}),
    ]));
    const left = story.left_out ? [`${story.left_out} more ranks have no tracks here`] : [];
    const cut = data.cut ? [`The graph ends at ${data.nodes.length} states; what lies beyond is served by eplb-model explore --serve`] : [];
    byId("notes").replaceChildren(...story.notes.concat(left, cut).map((text) => element("li", {text})));
  }

  function drawVerdict() {
    const frame = frames[at];
    const badge = byId("verdict");
    const shown = frame.verdict || (walks ? (frame.enabled.length ? "goes on" : "all done") : story.verdict);
    badge.textContent = frame.verdict || walks || at === frames.length - 1 ? shown : `${story.verdict} ahead`;
    const fine = ["ok", "goes on", "all done", ""].includes(shown);
    badge.className = `badge ${fine ? "fine" : "wrong"}`;
  }

  // --- timeline -----------------------------------------------------------------------------

  const same = (a, b) => a.text === b.text && a.status === b.status && a.held === b.held;

  function bars(track, row, last) {
    const found = [];
    for (let from = 0; from < frames.length;) {
      const cell = frames[from].cells[track];
      let to = from + 1;
      while (to < frames.length && same(frames[to].cells[track], cell)) to += 1;
      const blank = cell.status === "idle" || (cell.status === "ended" && !cell.text);
      if (!blank) found.push(bar(track, cell, from, to, row, last));
      from = to;
    }
    return found;
  }

  function bar(track, cell, from, to, row, last) {
    const isKernel = cell.ctas > 0;
    const forEver = cell.status === "stuck" && to === frames.length;
    const kinds = ["bar", cell.status];
    if (isKernel) kinds.push("kernel", cell.held ? "held" : "empty");
    if (cell.text.startsWith("error:")) kinds.push("error");
    const more = cell.queued.length ? ` (+${cell.queued.length})` : "";
    const text = isKernel ? `${cell.text} ${cell.held}/${cell.ctas}${more}` : cell.text + more;
    const name = story.tracks[track].name;
    return element("div", {
      class: kinds.join(" "), row, colour: colour(cell.text),
      column: `${from + 2} / ${forEver ? last : to + 2}`,
      title: [`${name}: ${text}`, cell.why, cell.queued.length ? `behind it: ${cell.queued.join(", ")}` : ""].filter(Boolean).join("\n"),
      click: () => go(Math.max(from, Math.min(at, to - 1))),
    }, element("span", {text}));
  }

  const marks = (name, row) => steps.flatMap((step, number) => step.track !== name ? [] : [
    element("div", {class: "mark", row, column: number + 3}),
  ]);

  function drawTimeline() {
    const last = frames.length + 3; // behind the column in which what is stuck goes on for ever
    const grid = element("div", {class: "grid"});
    const wide = frames.length > 24 ? "3.6rem" : "4.6rem";
    grid.style.gridTemplateColumns = `max-content repeat(${frames.length}, minmax(${wide}, 1fr)) 1.4rem`;
    grid.append(element("div", {class: "label", row: 1, column: 1}));
    frames.forEach((_, number) => grid.append(element("button", {
      class: "tick", row: 1, column: number + 2, type: "button", tabindex: "-1",
      text: number === 0 ? "start" : String(number), click: () => go(number),
      "aria-label": number === 0 ? "start" : `step ${number}`,
    })));
    let row = 2;
    story.ranks.forEach((rank, place) => {
      grid.append(element("div", {class: "label rank-title", row, column: 1, text: `rank ${rank}`}));
      row += 1;
      story.tracks.forEach((track, number) => {
        if (track.rank !== rank) return;
        const inCircle = circleNow().includes(track.name);
        grid.append(element("div", {class: `label${inCircle ? " in-circle" : ""}`, row, column: 1}, [
          element("span", {class: "mono", text: track.name}), element("small", {text: ` ${track.kind}`}),
        ]));
        grid.append(...bars(number, row, last), ...marks(track.name, row));
        row += 1;
      });
      grid.append(element("div", {class: "label", row, column: 1}, element("small", {text: `SMs (${story.sms})`})));
      frames.forEach((frame, number) => grid.append(pile(frame, place, number, row)));
      row += 1;
    });
    if (story.loop !== null && !walks) {
      const column = `${story.loop + 3} / ${frames.length + 2}`;
      grid.append(element("div", {class: "loop", row: `1 / ${row}`, column, title: "repeats for ever"}));
    }
    const here = element("div", {class: "here", row: `1 / ${row}`, column: at + 2});
    grid.append(here);
    const old = byId("timeline").scrollLeft;
    byId("timeline").replaceChildren(grid);
    byId("timeline").scrollLeft = old;
    keepInView(here, grid);
  }

  function keepInView(here, grid) {
    const pane = byId("timeline");
    const label = grid.firstChild.offsetWidth;
    grid.style.setProperty("--label", `${label}px`);
    const left = here.offsetLeft - label, right = here.offsetLeft + here.offsetWidth;
    if (left < pane.scrollLeft) pane.scrollLeft = left;
    else if (right > pane.scrollLeft + pane.clientWidth) pane.scrollLeft = right - pane.clientWidth;
  }

  function pile(frame, place, number, row) {
    const parts = frame.sms[place].map((each) => {
      const part = element("i", {colour: colour(each.kernel)});
      const sms = each.seats ? new Set(each.seats).size : Math.min(each.ctas, story.sms);
      part.style.height = `${(100 * sms) / story.sms}%`;
      return part;
    });
    const told = frame.sms[place].map((each) => `${each.kernel} holds ${each.ctas}`).join(", ");
    return element("div", {
      class: "pile", row, column: number + 2, click: () => go(number),
      title: `${frame.busy[place]} of ${story.sms} SMs in use${told ? `: ${told}` : ""}`,
    }, parts);
  }

  function drawLegend() {
    const marks = kernels.map((name) => element("span", {}, [
      element("span", {class: "swatch", colour: colour(name)}), document.createTextNode(name),
    ]));
    byId("legend").replaceChildren(...marks,
      element("span", {text: "blue edge: it took this step"}),
      element("span", {text: "dashed: waits"}),
      element("span", {text: "red frame without an end: can never move again"}));
  }

  // --- circle, state, SMs -------------------------------------------------------------------

  function circleNow() {
    const frame = frames[at];
    const ring = frame.circle.length ? frame.circle : [];
    const known = story.circle.length && at === frames.length - 1 && !walks;
    return known ? story.circle : ring;
  }

  function drawCircle() {
    const ring = circleNow();
    const stuck = story.tracks.filter((_, n) => frames[at].cells[n].status === "stuck");
    const shown = ring.length ? ring.slice(0, -1) : stuck.map((track) => track.name);
    byId("circle-panel").hidden = shown.length === 0;
    const looping = story.loop !== null && at >= story.loop && !walks;
    const others = looping ? "Left out for ever, while the others go on" : "They can never move again";
    byId("circle-title").textContent = ring.length ? "The circle: nobody in it can move first" : others;
    const place = new Map(story.tracks.map((track, n) => [track.name, n]));
    byId("circle").replaceChildren(...shown.map((name, n) => {
      const cell = frames[at].cells[place.get(name)];
      const on = ring.length ? ring[n + 1] : (cell && cell.on.join(", ")) || "nobody";
      return element("li", {"data-actor": name, "data-waits-for": on}, [
        element("b", {text: name}), document.createTextNode(" waits for "), element("b", {text: on}),
        document.createTextNode(cell && cell.why ? `: ${cell.why}` : ""),
      ]);
    }));
  }

  const SAID = {moves: "can move", waits: "waits", stuck: "stuck for good", idle: "nothing to do", ended: "over"};

  function drawState() {
    const frame = frames[at];
    const parties = story.tracks.map((track, n) => {
      const cell = frame.cells[n];
      const over = cell.status === "idle" || cell.status === "ended";
      const held = cell.ctas ? ` ${cell.held} of ${cell.ctas} CTAs hold a slot` : "";
      return element("div", {class: `party ${over ? "over" : cell.status}`, "data-actor": track.name}, [
        element("b", {text: track.name}), element("span", {class: "chip", text: SAID[cell.status]}),
        element("div", {class: "mono", text: cell.text + held}),
        cell.queued.length ? element("div", {class: "why", text: `behind it: ${cell.queued.join(", ")}`}) : null,
        cell.why ? element("div", {class: "why", text: `${cell.why}${cell.on.length ? ` (${cell.on.join(", ")} could help)` : " (nobody can help)"}`}) : null,
      ]);
    });
    const memory = story.ranks.map((rank, n) => frame.memory[n].length === 0 ? null : element("p", {
      class: "memory mono", text: `rank ${rank}: ${frame.memory[n].map(([name, value]) => `${name}=${value}`).join("  ")}`,
    }));
    byId("state").replaceChildren(...parties, ...memory.filter(Boolean));
  }

  function drawSms() {
    const frame = frames[at];
    byId("sms").replaceChildren(...story.ranks.map((rank, place) => {
      const held = frame.sms[place];
      const told = held.map((each) => `${each.kernel} ${each.ctas}`).join(", ") || "nothing";
      const seated = new Map();
      held.forEach((each) => (each.seats || []).forEach((sm) => seated.set(sm, each)));
      let sm = 0;
      const groups = story.groups.map((size) => {
        const squares = [];
        for (let n = 0; n < size; n += 1, sm += 1) {
          const holder = seated.get(sm);
          squares.push(element("span", holder
            ? {class: "sm taken", colour: colour(holder.kernel), title: `SM ${sm}: ${holder.kernel}`}
            : {class: "sm", title: `SM ${sm}: free`}));
        }
        return element("div", {class: "group"}, squares);
      });
      const counted = held.some((each) => each.seats === null);
      return element("div", {class: "gpu"}, [
        element("p", {}, [
          element("b", {text: `rank ${rank}`}),
          document.createTextNode(`: ${frame.busy[place]} of ${story.sms} SMs in use (CTAs: ${told})`),
        ]),
        counted ? element("p", {class: "why", text: "Everything fits at once here, so the model counts slots and does not say which."})
          : element("div", {class: "groups", role: "img", "aria-label": `SMs of rank ${rank} by group`}, groups),
      ]);
    }));
  }

  // --- walking ------------------------------------------------------------------------------

  function drawChoices() {
    byId("choices-panel").hidden = !walks;
    if (!walks) return;
    const node = nodes[at];
    const items = node.actions.map((action) => {
      const shut = data.mode === "graph" && action.to === null;
      return element("li", {}, element("button", {
        type: "button", "data-word": action.word, ...(shut ? {disabled: "", title: "beyond the embedded graph"} : {}),
        click: () => take(action),
      }, [element("b", {text: action.word}), document.createTextNode(action.does)]));
    });
    const end = frames[at].message || "Nobody has work left: the run has ended.";
    byId("choices").replaceChildren(...(items.length ? items : [element("li", {class: "shut", text: end})]));
  }

  async function take(action) {
    const words = steps.slice(0, at).map((step) => step.action).concat(action.word);
    const next = data.mode === "served" ? await asked(words) : data.nodes[action.to];
    if (!next) return;
    frames = frames.slice(0, at + 1).concat(next.frame);
    steps = steps.slice(0, at).concat({action: action.word, track: action.word.split(":")[0], does: action.does});
    nodes = nodes.slice(0, at + 1).concat(next);
    go(at + 1);
  }

  async function asked(words) {
    const answer = await fetch(`node?schedule=${encodeURIComponent(words.join(" "))}`);
    if (!answer.ok) {
      byId("step").textContent = await answer.text();
      return null;
    }
    return answer.json();
  }

  // --- stepping -----------------------------------------------------------------------------

  function go(number) {
    at = Math.max(0, Math.min(frames.length - 1, number));
    draw();
  }

  function drawPlace() {
    const end = frames.length - 1;
    byId("slider").max = String(end);
    byId("slider").value = String(at);
    byId("place").textContent = `${at} of ${end}`;
    for (const id of ["first", "back"]) byId(id).disabled = at === 0;
    for (const id of ["forward", "last"]) byId(id).disabled = at === end;
    const step = at === 0 ? null : steps[at - 1];
    byId("step").replaceChildren(...(step
      ? [element("span", {class: "who mono", text: step.action}), document.createTextNode(` ${step.does}`)]
      : [document.createTextNode(walks ? "The first state. Choose what happens." : "The first state.")]));
  }

  function draw() {
    drawPlace();
    drawVerdict();
    drawTimeline();
    drawChoices();
    drawCircle();
    drawState();
    drawSms();
  }

  const KEYS = {ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1), Home: () => go(0), End: () => go(frames.length - 1)};
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.id === "slider") return;
    event.preventDefault();
    act();
  });
  byId("first").addEventListener("click", KEYS.Home);
  byId("back").addEventListener("click", KEYS.ArrowLeft);
  byId("forward").addEventListener("click", KEYS.ArrowRight);
  byId("last").addEventListener("click", KEYS.End);
  byId("slider").addEventListener("input", (event) => go(Number(event.target.value)));

  // --- light and dark -----------------------------------------------------------------------

  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { byId("theme").textContent = isDark() ? "Light" : "Dark"; };
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  prefersDark.addEventListener("change", nameTheme);

  window.addEventListener("resize", drawTimeline);
  nameTheme();
  drawHead();
  drawLegend();
  draw();
})();
