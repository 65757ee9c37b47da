// What is served, and trying it. Everything that came from somewhere is put in as text, never as markup.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
let key = "";  // lives as long as the page: nothing is stored

class Wants extends Error {}

function make(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

async function ask(path, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const said = await response.json();
  if (response.status === 401) throw new Wants("this service wants a key");
  if (!response.ok) throw new Error(said.error?.message ?? said.error ?? said.message ?? `status ${response.status}`);
  return said;
}

// --- what is there ---------------------------------------------------------------------------------------------------

const bytes = (count) => (count >= 2 ** 30 ? `${(count / 2 ** 30).toFixed(2)} GiB` : `${Math.round(count / 2 ** 20)} MiB`);
const milliseconds = (seconds) => (seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1000).toFixed(1)} ms`);

function fill(table, rows) {
  $("tbody", table).replaceChildren(...rows.map((cells) => {
    const row = make("tr");
    row.append(...cells.map((cell, number) => {
      const [text, title] = Array.isArray(cell) ? cell : [cell];
      return make(number ? "td" : "th", text || "–", { ...(number ? {} : { scope: "row" }), ...(title ? { title } : {}) });
    }));
    return row;
  }));
}

function lossOf(model) {
  if (!model.loaded) return "";
  if (model.loss == null) return "none: not a build";
  if (typeof model.loss === "string") return model.loss;
  return Object.entries(model.loss).map(([name, value]) => `${name} ${Number(value.toFixed(4))}`).join(", ");
}

function showModels(models) {
  fill($("#models"), models.map((model) => [
    [model.repo && model.repo !== model.key ? `${model.key} · ${model.repo}` : model.key],
    model.task,
    [model.commit?.slice(0, 12), model.commit],
    [model.digest?.replace("sha256:", "").slice(0, 12), model.digest],
    model.loaded ? model.engine : "not loaded yet",
    [model.precision, model.why],
    lossOf(model),
    model.megabytes == null ? "" : `${Math.round(model.megabytes)} MiB`,
    model.verified,
  ]));
  for (const section of document.querySelectorAll("[data-task]")) {
    const fitting = models.filter((model) => model.task === section.dataset.task);
    section.hidden = !fitting.length;
    const select = $("select", section);
    if (select.length !== fitting.length) {
      select.replaceChildren(...fitting.map((model) => make("option", model.key, { value: model.key })));
    }
  }
}

function showFigures(stats) {
  fill($("#figures"), stats.requests.map((each) => [
    each.path, String(each.count), String(each.refused), milliseconds(each.p50), milliseconds(each.p99),
  ]));
  $("#process").textContent = `${bytes(stats.memory)} in memory, up for ${Math.round(stats.seconds)} s, version ${stats.version}`;
  const denied = Object.values(stats.denied ?? {}).reduce((sum, count) => sum + count, 0);
  const sealed = stats.denied == null ? "not sealed" : `sealed; ${denied} attempt${denied === 1 ? "" : "s"} to call out refused`;
  $("#state").textContent = `${stats.ready ? "ready" : "not ready"} · ${sealed}`;
}

let snippetsFor = "";

async function look() {
  try {
    const stats = await ask("stats");
    $("#key").hidden = true;
    showModels(stats.models);
    showFigures(stats);
    const those = stats.models.map((model) => model.key + model.task).join();
    if (those !== snippetsFor) showSnippets(stats.models, stats.keys);
    snippetsFor = those;
  } catch (problem) {
    $("#state").textContent = problem.message;
    if (problem instanceof Wants && $("#key").hidden) {
      $("#key").hidden = false;
      $("#key-value").focus();
    }
  }
}

// --- trying it -------------------------------------------------------------------------------------------------------

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

function bars(rows) {
  const most = Math.max(...rows.map(([, score]) => score), 1e-9);
  const list = make("dl", undefined, { class: "bars" });
  for (const [name, score] of rows) {
    const row = make("div");
    const bar = make("span");
    bar.style.setProperty("--share", `${Math.max(0, (100 * score) / Math.max(1, most))}%`);
    const frame = make("div", undefined, { class: "bar", "aria-hidden": "true" });
    frame.append(bar);
    row.append(make("dt", name), frame, make("dd", score.toFixed(3)));
    list.append(row);
  }
  return list;
}

function heatMap(texts, vectors) {
  const lengths = vectors.map((vector) => Math.hypot(...vector) || 1);
  const table = make("table", undefined, { class: "heat" });
  table.append(make("caption", "Cosine similarity", { class: "note" }));
  const head = make("tr");
  head.append(make("td"), ...texts.map((text, number) => make("th", String(number + 1), { scope: "col", title: text })));
  head.firstChild.className = "corner";
  table.createTHead().append(head);
  const body = table.createTBody();
  texts.forEach((text, i) => {
    const row = body.insertRow();
    row.append(make("th", `${i + 1} ${text}`, { scope: "row", title: text }));
    vectors.forEach((other, j) => {
      const score = vectors[i].reduce((sum, value, place) => sum + value * other[place], 0) / lengths[i] / lengths[j];
      const cell = make("td", score.toFixed(2), score > 0.8 ? { class: "hot" } : {});
      cell.style.setProperty("--heat", Math.max(0, score).toFixed(3));
      row.append(cell);
    });
  });
  return table;
}

const actions = {
  async embed(form) {
    const texts = lines(form.get("texts"));
    const said = await ask("v1/embeddings", { model: form.get("model"), input: texts });
    const vectors = said.data.map((each) => each.embedding);
    return [heatMap(texts, vectors), make("p", `${vectors[0].length} numbers a vector, ${said.usage.total_tokens} tokens`, { class: "note" })];
  },
  async rerank(form) {
    const documents = lines(form.get("texts"));
    const said = await ask("v1/rerank", { model: form.get("model"), query: form.get("query"), documents });
    return [bars(said.results.map((each) => [documents[each.index], each.relevance_score]))];
  },
  async classify(form) {
    const said = await ask("v1/classify", { model: form.get("model"), input: form.get("text") });
    return Object.entries(said.data[0].scores).flatMap(([group, scores]) => [
      make("h3", `${group}: ${said.data[0].labels[group]}`),
      bars(Object.entries(scores).sort((one, other) => other[1] - one[1])),
    ]);
  },
};

for (const [name, action] of Object.entries(actions)) {
  const form = $(`#${name}`);
  const output = $(`output[for=${name}]`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("button", form);
    button.disabled = true;
    const began = performance.now();
    try {
      const made = await action(new FormData(form));
      output.replaceChildren(...made, make("p", `answered in ${(performance.now() - began).toFixed(0)} ms`, { class: "note" }));
    } catch (problem) {
      output.replaceChildren(make("p", problem.message, { class: "error", role: "alert" }));
    } finally {
      button.disabled = false;
    }
    look();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

$("#key").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("#key-value").value;
  look();
});

// --- using it from elsewhere -----------------------------------------------------------------------------------------

function snippetsOf(models, keys) {
  const base = location.origin;
  const named = (task) => models.find((model) => model.task === task)?.key;
  const secret = keys ? "YOUR KEY" : "none";
  const embed = named("embed");
  const rerank = named("rerank");
  const made = [];
  if (embed) {
    const header = keys ? ` \\\n  -H "Authorization: Bearer $KEY"` : "";
    const body = JSON.stringify({ model: embed, input: ["Light turns on at 7 AM"] });
    made.push(["curl", `curl ${base}/v1/embeddings -H "Content-Type: application/json"${header} \\\n  -d '${body}'`]);
    made.push(["openai", `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key="${secret}")\nclient.embeddings.create(model="${embed}", input=["Light turns on at 7 AM"])`]);
  }
  if (rerank) {
    made.push(["cohere", `import cohere\n\nclient = cohere.ClientV2("${secret}", base_url="${base}")\nclient.rerank(model="${rerank}", query="morning routine", documents=["Light turns on at 7 AM"])`]);
  }
  if (embed) {
    made.push(["langchain", `from langchain_openai import OpenAIEmbeddings\n\nOpenAIEmbeddings(\n    base_url="${base}/v1", api_key="${secret}", model="${embed}",\n    check_embedding_ctx_length=False,  # else it sends token ids of another model\n).embed_query("Light turns on at 7 AM")`]);
  }
  return made;
}

function showSnippets(models, keys) {
  $("#snippets").replaceChildren(...snippetsOf(models, keys).map(([name, text], number) => {
    const details = make("details", undefined, number ? {} : { open: "" });
    const copy = make("button", "Copy", { type: "button", "aria-label": `Copy the ${name} snippet` });
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    });
    const code = make("pre");
    code.append(make("code", text));
    details.append(make("summary", name), code, copy);
    return details;
  }));
}

look();
setInterval(() => { if (!document.hidden) look(); }, 5000);
