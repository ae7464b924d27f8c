// The console: asks the server for what is, every few seconds, and shows it. It changes nothing.
"use strict";

const EVERY_MS = 2000;
const MOST_ROWS = 60;

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.json().catch(() => ({}))).detail || ""}`);
  return answer.json();
}

// ---- small words

const at = (id) => document.getElementById(id);

function element(tag, content = "", className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const part of [content].flat()) made.append(part);
  return made;
}

function ago(moment) {
  if (!moment) return "–";
  const seconds = Math.max(0, (Date.now() - Date.parse(moment)) / 1000);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60]]) if (seconds >= size) return `${Math.round(seconds / size)}${unit}`;
  return `${Math.round(seconds)}s`;
}

const number = (value, digits = 1) => (value === undefined ? "–" : Number(value).toFixed(digits));
const percent = (value) => (value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

function fill(table, columns, rows) {
  const head = element("tr", columns.map(([name, right]) => element("th", name, right ? "number" : "")));
  const body = rows.slice(0, MOST_ROWS).map((cells) => element("tr", cells.map((cell, i) =>
    cell instanceof HTMLTableCellElement ? cell : element("td", cell, columns[i][1] ? "number" : ""))));
  if (rows.length > MOST_ROWS) {
    const more = element("td", `… and ${rows.length - MOST_ROWS} more: xdsctl lists them all`, "quiet");
    more.colSpan = columns.length;
    body.push(element("tr", more));
  }
  table.replaceChildren(element("thead", head), element("tbody", body));
}

function section(id, rows, columns) {
  at(id).hidden = rows.length === 0;
  fill(at(id).querySelector("table"), columns, rows);
}

// ---- what is shown

function summary(nodes, services, model, ready) {
  const behind = nodes.filter((n) => n.connected && states(n).some((s) => s.state !== "SYNCED"));
  const connected = nodes.filter((n) => n.connected).length;
  const parts = [
    element("span", ready.ready ? "ready" : "not ready", ready.ready ? "good" : "bad"),
    ` · ${connected} of ${nodes.length} nodes connected · `,
    element("span", behind.length ? `${behind.length} out of sync` : "all in sync", behind.length ? "warn" : "good"),
    ` · ${services.reduce((sum, s) => sum + s.available, 0)} endpoints serve · forecasts by ${model.source || "nobody"}`,
  ];
  at("summary").replaceChildren(...parts);
}

const states = (node) => Object.entries(node.types || {}).map(([type, s]) => ({ type, ...s, state: s.state.replace("SYNC_STATE_", "") }))
  .filter((s) => s.state !== "NOT_REQUESTED");

function trouble(nodes, ready) {
  const rows = [];
  for (const what of ready.problems) rows.push([element("span", "not ready", "bad"), what, "–"]);
  for (const what of ready.degraded) rows.push([element("span", "degraded", "warn"), what, "–"]);
  for (const node of nodes) {
    for (const s of states(node)) if (s.state === "NACKED" || (s.state === "PENDING" && node.connected))
      rows.push([element("span", `${s.type} ${s.state.toLowerCase()}`, s.state === "NACKED" ? "bad" : "warn"), `${node.id}: ${s.error || "not answered yet"}`, ago(s.since)]);
    if (node.telemetry_problem) rows.push([element("span", "telemetry", "warn"), `${node.id}: ${node.telemetry_problem}`, "–"]);
  }
  section("trouble", rows, [["What"], ["Words"], ["Since", true]]);
}

function serviceRows(endpoints) {
  const most = Math.max(0.0001, ...endpoints.flatMap((e) => [e.share || 0, (e.load || {}).share || 0]));
  return [...endpoints].sort((a, b) => (b.share || 0) - (a.share || 0)).map((e) => {
    const load = e.load || {};
    const bars = element("td", [["weight", e.share], ["traffic", load.share]].map(([kind, share]) => {
      const bar = element("span", "", `bar ${kind}`);
      bar.style.setProperty("width", `${(100 * (share || 0)) / most}%`);
      return bar;
    }), "bars");
    bars.title = `weight ${percent(e.share)}, traffic ${percent(load.share)}`;
    const why = element("button", e.reason || "explain", "link");
    why.addEventListener("click", () => explain(e));
    const marks = [e.draining ? "draining" : "", e.pin ? "pinned" : ""].filter(Boolean).join(", ");
    return [`${e.id}${marks ? ` (${marks})` : ""}`, `${e.address}:${e.port}`, bars, `${e.weight ?? "–"}${e.shadow_weight === undefined ? "" : ` (shadow ${e.shadow_weight})`}`, percent(e.share), percent(load.share),
      number(load.rps), number(load.latency_ms), percent(load.error_rate), number(e.score, 2), number(e.confidence, 2), why];
  });
}

const ENDPOINT_COLUMNS = [["Endpoint"], ["Address"], [""], ["Weight", true], ["Share", true], ["Traffic", true], ["req/s", true], ["ms", true], ["Errors", true], ["Score", true], ["Confidence", true], ["Because"]];

function showServices(services, endpoints) {
  const parts = services.flatMap((s) => {
    const table = element("table");
    fill(table, ENDPOINT_COLUMNS, serviceRows(endpoints.filter((e) => e.service === s.name)));
    const title = element("h3", [s.name, element("span", ` · ${s.available} of ${s.endpoints} serve · ${number(s.rps)} req/s · ${s.policy.objective}${s.policy.shadow ? " · shadow: weights are shown, not published" : ""} · last change: ${s.cause || "none"}`, "quiet"),
      element("span", "", "key weight"), element("span", "weight", "quiet"), element("span", "", "key traffic"), element("span", "traffic", "quiet")]);
    return [title, element("div", table, "scroll")];
  });
  at("service-list").replaceChildren(...(parts.length ? parts : [element("p", "No service is configured.", "quiet")]));
}

async function explain(endpoint) {
  const query = new URLSearchParams({ service: endpoint.service, endpoint: endpoint.id });
  const told = await ask(`/admin/Explain?${query}`);
  const step = (r) => element("li", [element("b", r.what), r.value === undefined ? "" : ` ${Number(r.value.toPrecision(4))} ${r.unit}`, r.why ? ` — ${r.why}` : "",
    ...((r.because || []).length ? [element("ul", r.because.map(step))] : [])]);
  at("explain-title").textContent = `Why ${endpoint.service}/${endpoint.id} has weight ${endpoint.weight ?? "–"}`;
  at("explain-tree").replaceChildren(element("ul", step(told.reason)));
  at("explain-command").textContent = `xdsctl weights pin ${endpoint.service} ${endpoint.id} ${endpoint.weight ?? 1000} --reason "…" --ttl 1h`;
  if (!at("explain").open) at("explain").showModal();
}

function showSubnets(subnets, pools) {
  const tone = { active: "good", error: "bad" };
  section("subnets", subnets.map((s) => [s.subnet_id, s.service, element("span", s.phase, tone[s.phase] || "warn"), (s.network || {}).cidr || "–", s.node || "–", ago(s.since), s.reason]),
    [["Subnet"], ["Service"], ["Phase"], ["Network"], ["Node"], ["Since", true], ["Reason"]]);
  section("pools", pools.map((p) => [p.name, p.prefixes.join(" "), p.location, percent(p.used / p.capacity), percent(p.cooling / p.capacity), p.largest_free_block || "–", percent(p.fragmentation)]),
    [["Pool"], ["Prefixes"], ["Location"], ["Used", true], ["Cooling", true], ["Largest free"], ["Fragmented", true]]);
}

function showNodes(nodes) {
  const tone = { SYNCED: "good", NACKED: "bad", PENDING: "warn" };
  fill(at("nodes").querySelector("table"), [["Node"], ["Connected"], ["Since", true], ["Types"], ["Agent"], ["Group"]], nodes.map((n) => [
    n.id, element("span", n.connected ? "yes" : "no", n.connected ? "good" : "warn"), ago(n.since),
    element("td", states(n).flatMap((s) => [element("span", `${s.type} ${s.state.toLowerCase()}`, tone[s.state] || ""), " "])), n.user_agent, n.group]));
}

function showChanges(changes) {
  fill(at("changes").querySelector("table"), [["Revision", true], ["When", true], ["Who"], ["What"], ["Subject"], ["Why"]],
    changes.map((c) => [c.revision, ago(c.at), c.actor, c.action, c.subject, c.reason]));
}

// ---- the loop

async function look() {
  const ready = await fetch("/readyz").then((r) => r.json());
  const [nodes, services, endpoints, model, changes, subnets, pools] = await Promise.all(["/admin/ListNodes", "/admin/ListServices", "/admin/ListEndpoints",
    "/admin/GetModel", "/admin/ListChanges?limit=15", "/subnets/status", "/subnets/pools"].map(ask));
  summary(nodes.nodes, services.services, model, ready);
  trouble(nodes.nodes, ready);
  showServices(services.services, endpoints.endpoints);
  showSubnets(subnets.subnets, pools.pools);
  showNodes(nodes.nodes);
  showChanges(changes.changes);
}

async function loop() {
  try {
    if (!document.hidden) await look();
  } catch (error) {
    at("summary").replaceChildren(element("span", `cannot ask the server: ${error.message}`, "bad"));
  }
  setTimeout(loop, EVERY_MS);
}

loop();
