// SPDX-License-Identifier: Apache-2.0
// Fills the page from the state of a run: fetched repeatedly, or read once from inside a report.
"use strict";

const EVERY = 2000; // milliseconds between updates
const find = (id) => document.getElementById(id);

const STATUS = { preparing: "preparing", running: "training", done: "finished", stopped: "stopped", failed: "failed", lost: "lost" };
const REASONS = {
  "early-stop": "stopped early: no longer improving", "overfit-stop": "stopped: overfitting", signal: "stopped by a signal; run the same command to resume",
  "time-limit": "time limit reached; run the same command to resume", "non-finite": "a loss or weight became nan or infinite",
  "data-error": "error in the data", "disk-error": "the disk is full or gone", "nothing-to-do": "nothing left to do",
};

function duration(hours) {
  if (!isNumber(hours) || hours < 0) return "–";
  const minutes = Math.round(hours * 60);
  if (minutes < 1) return `${Math.round(hours * 3600)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.round(minutes % 1440 / 60)} h`;
}

function clock(date) {
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Where the run stands, as a sentence. */
function standing({ kind, progress, evaluations }) {
  if (!progress.iteration) return "";
  const parts = [`${progress.iteration}${progress.max_batches ? ` of ${progress.max_batches}` : ""} iterations are done`];
  if (isNumber(progress.best_iteration)) {
    const since = evaluations.filter((row) => row.iteration > progress.best_iteration).length;
    const later = since ? `; ${since} evaluation${since > 1 ? "s" : ""} since then measured less` : "";
    parts.push(`the best mAP@0.5 is ${percent(progress.best_map)}, at iteration ${progress.best_iteration}${later}`);
  }
  if (kind === "running" && isNumber(progress.hours_left) && progress.hours_left >= 0) parts.push(`about ${duration(progress.hours_left)} are left`);
  return `${parts.join("; ")}.`;
}

function showHead(state) {
  const { progress } = state, active = state.kind === "running";
  const share = progress.max_batches ? progress.iteration / progress.max_batches : 0;
  find("name").textContent = state.name;
  find("status").textContent = STATUS[state.kind] || state.kind;
  find("status").className = `pill ${state.kind}`;
  document.title = `${active ? `${Math.floor(100 * share)} % · ` : ""}${state.name}`;
  const started = state.started ? `started ${clock(new Date(state.started))}` : "not started yet";
  const again = state.sessions > 1 ? `, ${state.sessions} sessions` : "";
  const ended = state.ended ? `, ended ${clock(new Date(state.ended))}` : "";
  const reason = REASONS[state.reason] ? ` · ${REASONS[state.reason]}` : "";
  find("subtitle").textContent = `${started}${again}${ended}${reason}`;
  find("standing").textContent = standing(state);
  find("progress").firstElementChild.style.width = `${100 * Math.min(share, 1)}%`;
  find("progress").className = `bar ${state.kind}`;
  find("progress").setAttribute("aria-valuenow", Math.round(100 * share));
  find("error").hidden = !state.error;
  find("error").textContent = state.error;
}

function tile(label, value, note = "") {
  return h("div", { class: "tile" }, h("div", { class: "label" }, label), h("div", { class: "value" }, value), h("div", { class: "note" }, note));
}

function showTiles(state) {
  const { progress } = state, newest = state.evaluations.at(-1) || {};
  const left = state.kind === "running" ? progress.hours_left : null;
  const until = isNumber(left) && left >= 0 ? `finished about ${clock(new Date(1000 * state.now + 3.6e6 * left))}` : "";
  const best = isNumber(progress.best_iteration) ? `best ${percent(progress.best_map)} at\u00a0${progress.best_iteration}` : "not measured yet";
  const strict = isNumber(newest.map5095) ? `, 0.5:0.95 ${percent(newest.map5095)}` : "";
  const pace = [isNumber(progress.seconds) ? `${short(progress.seconds)} s per iteration` : "", progress.stall ? `${percent(progress.stall)} waiting for images` : ""].filter(Boolean);
  const all = [
    tile("Iteration", `${progress.iteration}${progress.max_batches ? ` / ${progress.max_batches}` : ""}`, isNumber(progress.images) ? `${progress.images.toLocaleString()} images seen` : ""),
    isNumber(left) ? tile("Time left", duration(left), until) : tile("Time", duration(progress.hours), "spent in iterations"),
    tile("Average loss", short(progress.avg_loss), isNumber(newest.val_loss) ? `validation ${short(newest.val_loss)}` : ""),
    tile("mAP@0.5", percent(progress.last_map), best + strict),
    isNumber(newest.precision) ? tile("Precision / recall", `${(100 * newest.precision).toFixed(0)} / ${percent(newest.recall, 0)}`, isNumber(newest.f1) ? `F1 ${percent(newest.f1, 0)}` : "") : null,
    tile("Learning rate", short(progress.rate)),
    tile("Speed", isNumber(progress.images_per_second) ? `${short(progress.images_per_second)} img/s` : "–", pace.join(", ")),
    isNumber(progress.rss_mb) ? tile("Memory", `${short(progress.rss_mb / 1024)} GiB`) : null,
    progress.workers ? tile("Workers", `${progress.workers.length}`, `computed + waited in the last iteration: ${progress.workers.map((worker) => `${short(worker.compute)} + ${short(worker.wait)} s`).join(", ")}`) : null,
  ];
  find("tiles").replaceChildren(...all.filter(Boolean));
}

function finding(row) {
  const where = [row.severity, row.rule, isNumber(row.iteration) ? `iteration ${row.iteration}` : ""];
  return h("div", { class: `card finding ${row.severity || "note"}` }, h("div", { class: "what" }, row.message || ""),
    row.hint ? h("div", { class: "how" }, row.hint) : null, h("div", { class: "how quiet" }, where.filter(Boolean).join(" · ")));
}

function showFindings(state) {
  for (const [id, rows] of [["findings", state.findings], ["checks", state.checks]]) {
    find(id).hidden = !rows.length;
    find(id).lastElementChild.replaceChildren(...rows.map(finding));
  }
}

function showSummary(state) {
  const { summary } = state, parent = find("summary").lastElementChild;
  find("summary").hidden = !Object.keys(summary).length;
  if (find("summary").hidden) return;
  const best = isNumber(summary.best_value) ? `${summary.metric} ${short(summary.best_value)} at iteration ${summary.best_iteration}, epoch ${short(summary.best_epoch)}` : null;
  const facts = {
    "stopped by": summary.stop_rule, best, trend: [summary.trend, summary.trend_reason].filter(Boolean).join(": "),
    epochs: isNumber(summary.epochs_done) ? short(summary.epochs_done) : null,
    "time per epoch": isNumber(summary.mean_epoch_s) ? duration(summary.mean_epoch_s / 3600) : null,
    "total time": isNumber(summary.wall_s) ? duration(summary.wall_s / 3600) : null, cost: isNumber(summary.cost) ? summary.cost.toFixed(2) : null,
  };
  const files = (summary.files || []).map((file) => [file.path, isNumber(file.iteration) ? String(file.iteration) : "–", percent(file.map50)]);
  parent.replaceChildren(card("Result", definitions(Object.entries(facts).filter(([, value]) => value))),
    ...(files.length ? [card("Weights", table(["file", "iteration", "mAP@0.5"], files))] : []));
}

function definitions(entries) {
  return h("dl", {}, ...entries.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

/** Charts with their columns; a chart without numbers is hidden. */
function chartsOf(state) {
  const x = state.curves.iteration, column = (name) => state.curves[name] || [];
  const at = state.evaluations.map((row) => row.iteration), measured = (name) => state.evaluations.map((row) => row[name]);
  const line = (name, y, ink, more = {}) => ({ name, x, y, ink, ...more });
  const point = (name, key, ink) => ({ name, x: at, y: measured(key), ink, dots: true });
  const others = (name, column_of, more) => (state.others || []).map((run, i) => ({ name: `${run.name}: ${name}`, ink: 4 + i % 4, ...column_of(run), ...more }));
  const loss_of = (run) => ({ x: run.curves.iteration, y: run.curves.avg_loss || [] });
  const map_of = (run) => ({ x: run.evaluations.map((row) => row.iteration), y: run.evaluations.map((row) => row.map) });
  return [
    { title: "Loss", log: find("axis").value, series: [line("each iteration", column("loss"), 0, { faint: true }), line("average", column("avg_loss"), 0), point("validation", "val_loss", 1), ...others("average", loss_of, {})] },
    { title: "mAP, %", yRange: [0, 1], show: percent, tick: (value) => String(Math.round(100 * value)), series: [point("mAP@0.5", "map", 1), point("mAP@0.5:0.95", "map5095", 3), ...others("mAP@0.5", map_of, { dots: true })] },
    { title: "Precision, recall, F1, %", yRange: [0, 1], show: percent, tick: (value) => String(Math.round(100 * value)), series: [point("precision", "precision", 0), point("recall", "recall", 1), point("F1", "f1", 2)] },
    { title: "Learning rate", series: [line("rate", column("rate"), 3)] },
    { title: "Training IoU with labels, %", yRange: [0, 1], show: percent, tick: (value) => String(Math.round(100 * value)), series: [line("IoU", column("iou"), 2)] },
  ];
}

/** Charts of the machine, folded: they matter when the training is slow. */
function machineChartsOf(state) {
  const x = state.curves.iteration, column = (name) => state.curves[name] || [];
  const line = (name, y, ink) => ({ name, x, y, ink });
  const times = (name, factor) => column(name).map((value) => (isNumber(value) ? value * factor : null));
  return [
    { title: "Images per second", series: [line("images/s", column("images_per_second"), 6)] },
    { title: "Memory, GiB", series: [line("resident", times("rss_mb", 1 / 1024), 5), line("GPU", times("gpu_mb", 1 / 1024), 3)] },
    { title: "Machine use, %", show: percent, tick: (value) => String(Math.round(100 * value)), series: [line("CPU", times("cpu_percent", 0.01), 0), line("GPU", times("gpu_percent", 0.01), 3), line("waiting for images", column("stall"), 1)] },
    { title: "GPU temperature, °C", series: [line("GPU", column("gpu_celsius"), 3)] },
    { title: "Disk, MB in this session", series: [line("read", column("read_mb"), 0), line("written", column("written_mb"), 1)] },
  ];
}

function cardsIn(parent, count) {
  while (parent.children.length < count) parent.append(h("div", { class: "card" }));
  return [...parent.children];
}

let range = null; // of iterations, that the reader has enlarged

function enlarge(wanted) {
  range = wanted;
  showCurves(shown, true);
  showMachine(shown, true);
}

/** Draw charts; one under the pointer stays as it is, unless it must change. */
function showCharts(state, id, parent, specs, must) {
  find(id).hidden = !state.curves.iteration.length;
  if (find(id).hidden) return;
  const cards = cardsIn(parent, specs.length);
  const end = state.kind === "running" ? state.progress.max_batches : state.progress.iteration;
  const smooth = Number(find("smooth").value);
  const common = { xStart: 0, xEnd: end, smooth, range, enlarge };
  specs.forEach((spec, i) => { if (must || !cards[i].matches(":hover")) drawChart(cards[i], { ...common, ...spec }); });
}

function showCurves(state, must = false) {
  showCharts(state, "curves", find("curves").lastElementChild, chartsOf(state), must);
}

function showMachine(state, must = false) {
  const details = find("machine").firstElementChild;
  find("machine").hidden = !state.curves.iteration.length;
  if (details.open) showCharts(state, "machine", details.lastElementChild, machineChartsOf(state), must); // a folded chart has no width
}

function showImages(state) {
  const parent = find("samples").lastElementChild, wanted = JSON.stringify(state.images.map((one) => [one.name, one.version]));
  find("samples").hidden = !state.images.length;
  if (parent.dataset.shown === wanted) return;
  parent.dataset.shown = wanted;
  parent.replaceChildren(...state.images.map((one) => {
    const source = one.data || `${one.name}?${one.version}`;
    const button = h("button", { type: "button", "aria-label": `Enlarge: ${one.caption}` }, h("img", { src: source, alt: one.caption, loading: one.data ? null : "lazy" }));
    button.addEventListener("click", () => {
      find("zoom").firstElementChild.src = source;
      find("zoom").lastElementChild.textContent = one.caption;
      find("zoom").showModal();
    });
    return h("figure", { class: "card" }, button, h("figcaption", {}, one.caption));
  }));
}

function showLog(state) {
  const pre = find("log").lastElementChild, atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 4 || !pre.textContent;
  find("log").hidden = !state.log;
  if (pre.textContent === state.log) return;
  pre.textContent = state.log;
  if (atEnd) pre.scrollTop = pre.scrollHeight;
}

function showAbout(state) {
  const lists = [...Object.entries(state.settings), ["environment", state.environment]].filter(([, values]) => Object.keys(values).length);
  const parent = find("about").lastElementChild, wanted = JSON.stringify(lists);
  find("about").hidden = !lists.length;
  if (parent.dataset.shown === wanted) return;
  parent.dataset.shown = wanted;
  parent.replaceChildren(...lists.map(([name, values]) => h("details", { class: "card", open: "" }, h("summary", {}, name), definitions(Object.entries(values)))));
}

let shown = null;

function show(state) {
  shown = state;
  // An error in one part must not hide the others.
  const wrong = (error) => setTimeout(() => { throw error; });
  for (const part of [showHead, showTiles, showFindings, showSummary, showCurves, showEvaluation, showImages, showMachine, showLog, showAbout]) {
    try { part(state); } catch (error) { wrong(error); }
  }
}

function stamp(text, wrong = false) {
  find("stamp").textContent = text;
  find("stamp").className = wrong ? "error" : "";
}

async function update() {
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status} ${answer.statusText}`);
    show(await answer.json());
    stamp(`Updated ${new Date().toLocaleTimeString()} · pydarknet`);
  } catch (error) {
    const when = shown ? `; showing the state of ${clock(new Date(1000 * shown.now))}` : "";
    if (!(error instanceof TypeError)) { // not a connection error
      stamp(`Cannot update: ${error.message}${when}.`, true);
      return;
    }
    stamp(`Not reachable: the training has ended, or the network is down${when}. Run "pydarknet watch RUN" to show the page again.`, true);
  }
}

async function follow() {
  for (;;) {
    if (!document.hidden) await update();
    await new Promise((done) => { setTimeout(done, EVERY); });
  }
}

for (const event of ["click", "cancel"]) find("zoom").addEventListener(event, () => find("zoom").close());
find("machine").firstElementChild.addEventListener("toggle", () => { if (shown) showMachine(shown); });
for (const id of ["smooth", "axis"]) find(id).addEventListener("input", () => { if (shown) { showCurves(shown); showMachine(shown); } });
let resized = 0;
window.addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => { if (shown) show(shown); }, 100); });

const inside = find("state");
if (inside) {
  show(JSON.parse(inside.textContent));
  stamp(`Written ${clock(new Date(1000 * shown.now))} by pydarknet`);
} else {
  document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
  follow();
}
