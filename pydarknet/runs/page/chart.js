// SPDX-License-Identifier: Apache-2.0
// Small line charts as SVG: axes with round numbers, a legend with the newest values, values under the pointer.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; text becomes text, never markup. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function s(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Format a number for people, with its significant digits. */
function short(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-5 || size >= 1e6)) return value.toExponential(1).replace("e+", "e");
  if (size >= 100) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}

const percent = (value, digits = 1) => (isNumber(value) ? `${(100 * value).toFixed(digits)}\u00a0%` : "–");

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high * (1 + 1e-9); n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const n of [1, 2, 5]) if (n * 10 ** power >= low && n * 10 ** power <= high) found.push(Number((n * 10 ** power).toPrecision(3)));
  }
  return found.length > 7 ? found.filter((value) => Number.isInteger(Math.log10(value) + 1e-12 | 0) && /^1/.test(value.toExponential())) : found;
}

const hidden = new Set(); // "title/name" of the curves that the reader has switched off

/** Exponential moving average, where there are numbers; weight is the share of the value before, 0 to 1. */
function smoothed(values, weight) {
  let mean = 0, share = 0; // divided by the sum of the weights, so that the beginning is not pulled towards 0
  return values.map((value) => {
    if (!isNumber(value)) return value;
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
}

/** An entry of a legend: a button that hides its curve, or shows it again. */
function entry(one, spec, show, again) {
  const id = `${spec.title}/${one.name}`, newest = one.noValue ? "" : show(one.y.findLast(isNumber));
  const button = h("button", { type: "button", "aria-pressed": String(!hidden.has(id)) }, `${one.name} `, h("b", {}, newest));
  button.addEventListener("click", () => {
    if (!hidden.delete(id)) hidden.add(id);
    again();
  });
  return h("li", { class: `ink${one.ink}${hidden.has(id) ? " off" : ""}` }, button);
}

/**
 * Draw a chart into a card.
 * spec: title, series [{name, x, y, ink, faint, dots}], xEnd, yRange [low, high], log, show (value → text), xName,
 *   range [from, to] of x to show or null for all, enlarge (called with the range that the reader chooses).
 */
function drawChart(card, spec) {
  const all = spec.series.filter((one) => one.y.some(isNumber));
  card.hidden = !all.length;
  if (!all.length) return;
  const show = spec.show || short, visible = all.filter((one) => !hidden.has(`${spec.title}/${one.name}`));
  const legend = h("ul", { class: "legend" }, ...all.map((one) => entry(one, spec, show, () => drawChart(card, spec))));
  const weight = spec.smooth || 0;
  const smooth = (visible.length ? visible : all).map((one) => (weight && !one.dots ? { ...one, y: smoothed(one.y, weight) } : one));
  const series = spec.range ? smooth.map((one) => within(one, spec.range)) : smooth;
  const box = h("div", { class: "chart" });
  card.replaceChildren(h("h3", {}, spec.title), ...(spec.noLegend ? [] : [legend]), box);
  const width = Math.max(box.clientWidth, 240), height = spec.height || 220;
  const plot = { left: 46, right: width - 10, top: 8, bottom: height - 22 };
  const scales = makeScales(spec, series, plot);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  svg.setAttribute("aria-label", `${spec.title}: ${legend.textContent}`);
  drawAxes(svg, spec, scales, plot, show);
  for (const one of series) drawSeries(svg, one, scales);
  box.append(svg);
  addPointer(box, svg, spec, series, scales, plot, show);
}

/** The part of a series whose x lies in a range. */
function within(one, [from, to]) {
  const inside = one.x.map((x) => x >= from && x <= to), cut = (values) => values.filter((_, i) => inside[i]);
  return { ...one, x: cut(one.x), y: cut(one.y) };
}

function makeScales(spec, series, plot) {
  const xs = series.flatMap((one) => one.x.filter((x, i) => isNumber(x) && isNumber(one.y[i])));
  // Faint series (single iterations) may leave the chart; the others set its height.
  const firm = series.filter((one) => !one.faint);
  const ys = (firm.length ? firm : series).flatMap((one) => one.y.filter(isNumber));
  const log = spec.log === "auto" ? worthLog(ys) : spec.log === "log" && Math.min(...ys) > 0;
  let [low, high] = spec.yRange || (ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1]);
  if (!spec.yRange && !log) {
    const span = high - low > 1e-9 * Math.abs(high) ? high - low : 0; // less is rounding, for which there are no ticks
    const room = (span || Math.abs(high) || 1) * 0.08;
    low = low >= 0 && low < 0.5 * high ? 0 : low - room;
    high += room;
  } else if (log) { low *= 0.9; high *= 1.1; }
  const x0 = spec.range ? spec.range[0] : spec.xStart ?? Math.min(...xs);
  const x1 = spec.range ? spec.range[1] : Math.max(spec.xEnd || 0, ...xs, x0 + 1e-9);
  const place = log ? Math.log : (value) => value;
  return {
    x0, x1, low, high, log,
    x: (value) => plot.left + (value - x0) / (x1 - x0) * (plot.right - plot.left),
    y: (value) => {
      const share = (place(Math.max(value, log ? low : -Infinity)) - place(low)) / (place(high) - place(low));
      return plot.bottom - Math.min(Math.max(share, -0.02), 1.02) * (plot.bottom - plot.top);
    },
  };
}

/** Whether values span a factor of more than 30, which only a logarithmic axis shows readably. */
function worthLog(values) {
  const low = Math.min(...values), high = Math.max(...values);
  return low > 0 && high / low > 30;
}

function drawAxes(svg, spec, scales, plot, show) {
  const rows = scales.log ? logTicks(scales.low, scales.high) : ticks(scales.low, scales.high, 5);
  for (const value of rows) {
    const y = scales.y(value);
    svg.append(s("line", { class: "grid", x1: plot.left, x2: plot.right, y1: y, y2: y }));
    svg.append(s("text", { x: plot.left - 6, y: y + 4, "text-anchor": "end" }, (spec.tick || show)(value)));
  }
  svg.append(s("line", { class: "axis", x1: plot.left, x2: plot.right, y1: plot.bottom, y2: plot.bottom }));
  const columns = ticks(scales.x0, scales.x1, Math.min(6, Math.floor((plot.right - plot.left) / 55)));
  for (const value of columns) {
    svg.append(s("text", { x: scales.x(value), y: plot.bottom + 15, "text-anchor": "middle" }, String(value)));
  }
}

function drawSeries(svg, one, scales) {
  let path = "", pen = "M";
  const points = [];
  one.x.forEach((x, i) => {
    if (!isNumber(one.y[i]) || !isNumber(x)) { if (!one.dots) pen = "M"; return; }
    path += `${pen}${scales.x(x).toFixed(1)} ${scales.y(one.y[i]).toFixed(1)}`;
    points.push([scales.x(x), scales.y(one.y[i])]);
    pen = "L";
  });
  const look = one.ideal ? "ideal" : one.faint ? "faint" : "";
  svg.append(s("path", { class: `ink${one.ink} ${look}`, d: path }));
  const dots = one.dots || points.length === 1 ? points : [];
  for (const [x, y] of dots.length > 60 ? dots.slice(-1) : dots) svg.append(s("circle", { class: `ink${one.ink}`, cx: x, cy: y, r: 3 }));
}

function nearest(values, wanted) {
  let best = 0;
  values.forEach((value, i) => { if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = i; });
  return best;
}

function addPointer(box, svg, spec, series, scales, plot, show) {
  const cursor = s("line", { class: "cursor", y1: plot.top, y2: plot.bottom, visibility: "hidden" });
  const tip = h("div", { class: "tip", hidden: "" });
  svg.append(cursor);
  box.append(tip);
  const under = (event) => {
    const place = (event.clientX - svg.getBoundingClientRect().left - plot.left) / (plot.right - plot.left);
    return scales.x0 + Math.min(Math.max(place, 0), 1) * (scales.x1 - scales.x0);
  };
  if (spec.enlarge) addRange(svg, spec, scales, plot, under);
  svg.addEventListener("pointermove", (event) => {
    const wanted = under(event);
    const shown = series.filter((one) => !one.ideal && one.x.length).map((one) => [one, nearest(one.x, wanted)]);
    if (!shown.length) return;
    const at = shown.map(([one, i]) => one.x[i]).sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0];
    cursor.setAttribute("x1", scales.x(at));
    cursor.setAttribute("x2", scales.x(at));
    cursor.setAttribute("visibility", "visible");
    tip.replaceChildren(h("span", { class: "quiet" }, `${spec.xName || "iteration"} ${short(at) === String(at) ? at : Number.isInteger(at) ? at : short(at)}`),
      ...shown.map(([one, i]) => h("div", { class: `ink${one.ink}` }, `${one.name} ${show(one.y[i])}`)));
    tip.hidden = false;
    const left = scales.x(at) + 12;
    tip.style.left = `${left + tip.offsetWidth > box.clientWidth ? left - 24 - tip.offsetWidth : left}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); });
}

/** Dragging chooses the range of x to show, a double click all of it; on a touch screen dragging scrolls. */
function addRange(svg, spec, scales, plot, under) {
  const band = s("rect", { class: "band", y: plot.top, height: plot.bottom - plot.top, visibility: "hidden" });
  let from = null;
  svg.append(band);
  svg.addEventListener("pointerdown", (event) => { if (event.pointerType !== "touch") from = under(event); });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const [left, right] = [from, under(event)].map(scales.x).sort((a, b) => a - b);
    for (const [name, value] of Object.entries({ x: left, width: right - left, visibility: "visible" })) band.setAttribute(name, value);
  });
  svg.addEventListener("pointerup", (event) => {
    const range = from === null ? null : [from, under(event)].sort((a, b) => a - b);
    from = null;
    if (range && scales.x(range[1]) - scales.x(range[0]) > 8) spec.enlarge(range);
  });
  svg.addEventListener("pointerleave", () => { from = null; band.setAttribute("visibility", "hidden"); });
  svg.addEventListener("dblclick", () => spec.enlarge(null));
}
