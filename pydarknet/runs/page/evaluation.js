// SPDX-License-Identifier: Apache-2.0
// An evaluation: classes, slices, confusion, curves, calibration, worst images; parts without data are left out.
"use strict";

function card(title, ...children) {
  return h("div", { class: "card" }, h("h3", {}, title), ...children);
}

/** rows: lists of cells; a cell is text or an element. */
function table(header, rows, classes = []) {
  const cell = (content) => (content instanceof Element && content.tagName === "TD" ? content : h("td", {}, content));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...header.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map((cells, i) => h("tr", { class: classes[i] }, ...cells.map(cell))))));
}

const count = (value) => (isNumber(value) ? value.toLocaleString() : "–");
const ratio = (part, rest) => (isNumber(part) && isNumber(rest) && part + rest > 0 ? part / (part + rest) : null);

function meter(value) {
  return isNumber(value) ? h("meter", { min: 0, max: 1, value, "aria-label": percent(value) }) : "";
}

function classesCard(found) {
  if (!found.classes?.length) return null;
  const row = (one, name, ap, wide) => [name, meter(ap), percent(ap), percent(wide), percent(ratio(one.tp, one.fp)), percent(ratio(one.tp, one.fn)), count(one.truths), count(one.tp), count(one.fp), count(one.fn)];
  const rows = found.classes.map((one) => row(one, one.name, one.ap, one.coco_ap));
  rows.push(row(found, "all", found.map50, found.map5095));
  const header = ["class", "", "AP@0.5", "AP@0.5:0.95", "precision", "recall", "labels", "TP", "FP", "FN"];
  const whole = card("Classes", table(header, rows, rows.map((_, i) => (i === rows.length - 1 ? "mean" : ""))),
    h("p", { class: "quiet small" }, `${found.protocol || ""}; precision, recall and counts at confidence ${short(found.thresh)}.`));
  whole.classList.add("whole");
  return whole;
}

function slicesCard(found) {
  const rows = Object.entries(found.slices || {}).flatMap(([kind, parts]) => parts.map((one) => [
    `${kind}: ${one.name}`, percent(one.ap), percent(one.precision), percent(one.recall), count(one.truths), count(one.images)]));
  if (!rows.length) return null;
  return card("Slices", table(["part of the data", "AP@0.5", "precision", "recall", "labels", "images"], rows));
}

/** Rows are predictions, columns are labels; colours are shares of the column. */
function confusionCard(found) {
  const { names, counts } = found.confusion || {};
  if (!names?.length) return null;
  const sums = names.map((_, column) => counts.reduce((sum, row) => sum + row[column], 0));
  const rows = counts.map((row, i) => [h("td", {}, names[i]), ...row.map((value, column) => {
    const cell = h("td", { class: "heat" }, value ? count(value) : "");
    cell.style.setProperty("--share", sums[column] ? value / sums[column] : 0);
    return cell;
  })]);
  const made = card("Confusion", table(["predicted ↓  label →", ...names], rows),
    h("p", { class: "quiet small" }, "Colours are shares of the labels; the last column has detections without a label, the last row missed labels."));
  made.classList.toggle("whole", names.length > 6);
  return made;
}

function lines(found, x, key, words) {
  const classes = found.curves.classes || [];
  const own = classes.length > 1
    ? classes.map((one, i) => ({ name: one.name, x, y: one[key], ink: i, noValue: true })) : [];
  return [...own, { name: `mean${words}`, x, y: found.curves[key], ink: own.length ? "Mean" : 0, noValue: true }];
}

function curveCards(found) {
  const { curves } = found;
  if (!curves?.confidence) return [];
  const shares = { xStart: 0, xEnd: 1, yRange: [0, 1], show: (value) => (isNumber(value) ? value.toFixed(2) : "–") };
  const best = isNumber(curves.best_confidence) ? `, best at ${curves.best_confidence.toFixed(2)}` : "";
  return [
    { ...shares, title: "Precision over recall", xName: "recall", series: lines(found, curves.recall_points, "precision_at_recall", "") },
    { ...shares, title: "F1 over confidence", xName: "confidence", series: lines(found, curves.confidence, "f1", best) },
  ];
}

function calibrationChart(found) {
  const { confidence, accuracy, ece } = found.calibration || {};
  if (!confidence) return null;
  return {
    title: `Calibration${isNumber(ece) ? `, error ${ece.toFixed(3)}` : ""}`, xStart: 0, xEnd: 1, yRange: [0, 1], xName: "confidence", show: (value) => (isNumber(value) ? value.toFixed(2) : "–"),
    series: [{ name: "ideal", x: [0, 1], y: [0, 1], ink: 7, ideal: true, noValue: true }, { name: "share that is correct", x: confidence, y: accuracy, ink: 2, dots: true, noValue: true }],
  };
}

function worstCard(found) {
  const rows = (found.worst || []).slice(0, 10).map((one) => [String(one.path || one.image).split(/[\\/]/).pop(), count(one.fn), count(one.fp), count(one.tp)]);
  return rows.length ? card("Images with the most errors", table(["image", "missed", "wrong", "correct"], rows)) : null;
}

function showEvaluation(state) {
  const best = Object.keys(state.best_evaluation).length > 0, found = best ? state.best_evaluation : state.evaluation;
  const parent = find("evaluation").querySelector(".parts"), wanted = `${JSON.stringify(found)} ${window.innerWidth}`;
  find("evaluation").hidden = !Object.keys(found).length;
  if (find("evaluation").hidden || parent.dataset.shown === wanted) return;
  parent.dataset.shown = wanted;
  const when = isNumber(found.iteration) ? ` of iteration ${found.iteration}` : "";
  find("evaluation").querySelector("p").textContent = `The ${best ? "best" : "newest"} weights${when} on ${count(found.images)} validation images.`;
  const specs = [...curveCards(found), calibrationChart(found)].filter(Boolean);
  const charts = specs.map(() => h("div", { class: "card" }));
  parent.replaceChildren(...[classesCard(found), slicesCard(found), confusionCard(found), ...charts, worstCard(found)].filter(Boolean));
  specs.forEach((spec, i) => drawChart(charts[i], spec));
}
