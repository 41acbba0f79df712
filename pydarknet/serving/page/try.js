// SPDX-License-Identifier: Apache-2.0
// The page for trying a network: sends an image, or frame after frame of a video or camera, and draws boxes.
"use strict";

const COLOURS = 8;  // --s0 ... --s7 of page.css
const FRAME = 1280;  // longest side of a frame of a video that is sent, in pixels
const by = id => document.getElementById(id);
const view = by("view"), video = by("video");
let session = 0;  // raised by every new source, so that answers to the one before are dropped
let last = null;  // the source that is shown: a bitmap, or the video

function text(element, content) {
  by(element).textContent = content;
}

function fail(message) {
  text("error", message);
  by("error").hidden = !message;
}

async function loadModel() {
  try {
    const answer = await fetch("v1/model");
    const model = await answer.json();
    if (answer.status === 503) return setTimeout(loadModel, 1000);
    if (!answer.ok) throw new Error(model.error);
    text("name", model.cfg.replace(/\.cfg$/, ""));
    document.title = `${model.cfg} – pydarknet`;
    text("subtitle", `${model.names.length || "unnamed"} classes, ${model.width}×${model.height}, ${model.backend} ${model.precision}`);
    by("subtitle").title = model.names.join(", ");
    by("thresh").value = model.thresh;
    showThreshold();
    text("status", "ready");
    by("status").className = "pill done";
  } catch (error) {
    text("status", "not reachable");
    by("status").className = "pill failed";
    fail(String(error.message || error));
  }
}

function showThreshold() {
  text("threshold", `${Math.round(100 * by("thresh").value)} %`);
}

async function detect(blob) {
  const answer = await fetch(`invocations?thresh=${by("thresh").value}`, {method: "POST", headers: {"Content-Type": blob.type || "application/octet-stream"}, body: blob});
  const found = await answer.json();
  if (answer.ok) return found;
  const error = new Error(found.error || `HTTP ${answer.status}`);
  error.wait = answer.status === 503 ? 1000 * (answer.headers.get("Retry-After") || 1) : null;
  throw error;
}

function toBlob(source, width, height) {
  const scale = Math.min(1, FRAME / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise(done => canvas.toBlob(blob => done([blob, canvas]), "image/jpeg", 0.9));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(source, width, height, objects) {
  view.width = width;
  view.height = height;
  view.hidden = false;
  by("hint").hidden = true;
  const pen = view.getContext("2d");
  pen.drawImage(source, 0, 0, width, height);
  const line = Math.max(2, Math.round(Math.max(width, height) / 320));
  pen.lineWidth = line;
  pen.font = `600 ${line * 6}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const one of objects) {
    pen.strokeStyle = pen.fillStyle = colour(`--s${one.class % COLOURS}`);
    pen.strokeRect(one.xmin, one.ymin, one.xmax - one.xmin, one.ymax - one.ymin);
    const label = `${one.name} ${Math.round(100 * one.confidence)} %`;
    const top = Math.max(one.ymin, line * 8), left = Math.max(0, one.xmin - line / 2);
    pen.fillRect(left, top - line * 8, pen.measureText(label).width + line * 4, line * 8);
    pen.fillStyle = colour("--card");
    pen.fillText(label, left + line * 2, top - line);
  }
}

function list(objects, milliseconds) {
  const body = document.querySelector("#found tbody");
  body.replaceChildren(...objects.slice(0, 200).map(one => {
    const row = document.createElement("tr");
    const box = [one.xmin, one.ymin, one.xmax, one.ymax].map(Math.round).join(", ");
    for (const content of [one.name, `${(100 * one.confidence).toFixed(1)} %`, box]) {
      row.appendChild(document.createElement("td")).textContent = content;
    }
    return row;
  }));
  by("found").hidden = false;
  const count = objects.length === 1 ? "1 object" : `${objects.length} objects`;
  text("time", `${count}, ${Math.round(milliseconds)} ms from sending to answer`);
}

function stop() {
  session += 1;
  const stream = video.srcObject;
  if (stream) stream.getTracks().forEach(track => track.stop());
  video.pause();
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  by("stop").hidden = true;
  last = null;
  return session;
}

async function showImage(blob) {
  const own = stop();
  fail("");
  try {
    const bitmap = await createImageBitmap(blob).catch(() => { throw new Error(`${blob.name || "This"} is not an image that this browser can show.`); });
    last = {blob, bitmap};
    const start = performance.now();
    const objects = await detect(blob);
    if (own !== session) return;
    draw(bitmap, bitmap.width, bitmap.height, objects);
    list(objects, performance.now() - start);
  } catch (error) {
    if (own === session) fail(String(error.message || error));
  }
}

async function follow(own) {
  // One frame is under way at a time, so a slow server delays nothing but skips frames.
  while (own === session && !video.ended) {
    if (video.readyState >= 2 && video.videoWidth) {
      const start = performance.now();
      try {
        const [blob, canvas] = await toBlob(video, video.videoWidth, video.videoHeight);
        const objects = await detect(blob);
        if (own !== session) return;
        draw(canvas, canvas.width, canvas.height, objects);
        list(objects, performance.now() - start);
        fail("");
      } catch (error) {
        if (own !== session) return;
        fail(String(error.message || error));
        await new Promise(done => setTimeout(done, error.wait || 1000));
      }
    }
    await new Promise(done => requestAnimationFrame(done));
  }
  if (own === session) by("stop").hidden = true;
}

async function showVideo(source) {
  const own = stop();
  fail("");
  try {
    if (source instanceof Blob) {
      video.src = URL.createObjectURL(source);
    } else {
      const stream = await source();
      if (own !== session) return stream.getTracks().forEach(track => track.stop());
      video.srcObject = stream;
    }
    by("stop").hidden = false;
    await video.play();
    await follow(own);
  } catch (error) {
    if (own === session) {
      stop();
      fail(`The video cannot be shown: ${error.message || error}`);
    }
  }
}

function open(file) {
  if (!file) return;
  if (file.type.startsWith("video/")) showVideo(file);
  else showImage(file);
}

by("file").addEventListener("change", event => { open(event.target.files[0]); event.target.value = ""; });
by("stop").addEventListener("click", stop);
by("thresh").addEventListener("input", showThreshold);
by("thresh").addEventListener("change", () => { if (last && last.blob) showImage(last.blob); });
by("camera").addEventListener("click", () => {
  if (!navigator.mediaDevices) return fail("This browser gives a camera only to pages of this machine or with https.");
  showVideo(() => navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}}));
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, event => {
    event.preventDefault();
    by("stage").classList.toggle("over", name === "dragover");
    if (name === "drop") open(event.dataTransfer.files[0]);
  });
}
loadModel();
