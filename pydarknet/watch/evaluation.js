// SPDX-License-Identifier: Apache-2.0
// The newest evaluation: classes, slices, confusion, curves, calibration; what was not measured is left out.
"use strict";

function card(title, ...children) {
  return h("div", { class: "card" }, h("h3", {}, title), ...children);
}

/** rows: lists of cells; a cell is text or an element. */
function table(header, rows, classes = []) {
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...header.map((name) => h("th", {}, name)))),
    h("tbody", {}, ...rows.map((cells, i) => h("tr", { class: classes[i] }, ...cells.map((cell) => (cell instanceof Element && cell.tagName === "TD" ? cell : h("td", {}, cell))))))));
}

function meter(value) {
  return isNumber(value) ? h("meter", { min: 0, max: 1, value, "aria-label": percent(value) }) : "";
}

function classesCard(found) {
  if (!found.classes?.length) return null;
  const rows = found.classes.map((one) => [one.name, meter(one.ap), percent(one.ap), percent(one.coco_ap), String(one.truths ?? "–"), String(one.tp ?? "–"), String(one.fp ?? "–")]);
  rows.push(["all", meter(found.map50), percent(found.map50), percent(found.map5095), String(found.truths ?? "–"), String(found.tp ?? "–"), String(found.fp ?? "–")]);
  const header = ["class", "", "AP@0.5", "AP@0.5:0.95", "labels", "TP", "FP"];
  const whole = card("Classes", table(header, rows, rows.map((_, i) => (i === rows.length - 1 ? "mean" : ""))),
    h("p", { class: "quiet" }, `TP and FP are counted at confidence ${short(found.thresh)}.`));
  whole.classList.add("whole");
  return whole;
}

function showEvaluation(state) {
  const best = Object.keys(state.best_evaluation).length > 0, found = best ? state.best_evaluation : state.evaluation;
  const parts = [classesCard].map((part) => part(found)).filter(Boolean);
  find("evaluation").hidden = !parts.length;
  find("evaluation").querySelector("p").textContent = `${best ? "Best weights" : "Newest weights"} on ${found.images ?? "?"} validation images.`;
  find("evaluation").querySelector(".parts").replaceChildren(...parts);
}
