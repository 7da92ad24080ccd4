// The query page: an editor that colours, completes and marks errors; several statements, several results;
// tables and charts; export, history, links, progress and cancel.
import { $, el, ask, send, header, table, picture, shape, short, bytes } from './house.js';

header('query');
const q = $('q'), paint = $('paint'), choices = $('choices');
const HISTORY_MAX = 200;
let words = [], functions = new Map(), keywords = new Set(), running = null, mark = null, lastStatement = null;

// ---- text to coloured text -------------------------------------------------------------------------------
const TOKEN = /(--[^\n]*|#![^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^'\\]|\\[\s\S]|'')*(?:'|$))|(`[^`]*`?|"[^"]*"?)|(\b\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|([A-Za-z_]\w*)|([\s\S])/g;
function highlight() {
  const nodes = [];
  const push = (text, kind) => nodes.push(kind ? el('span', { class: kind }, text) : document.createTextNode(text));
  for (const m of q.value.matchAll(TOKEN)) {
    const kind = m[1] ? 'c' : m[2] ? 's' : m[4] ? 'n' : m[5] ? (keywords.has(m[5].toUpperCase()) ? 'k' : functions.has(m[5].toLowerCase()) ? 'f' : '') : '';
    const hit = mark !== null && m.index <= mark && mark < m.index + m[0].length && m[0].trim();
    push(m[0], hit ? 'bad' : kind);
  }
  if (mark !== null && mark >= q.value.trimEnd().length) push(' ', 'bad');
  paint.replaceChildren(...nodes, '\n');
  q.style.height = 'auto';
  q.style.height = Math.min(Math.max(150, q.scrollHeight + 2), innerHeight * .55) + 'px';
  paint.scrollTop = q.scrollTop;
}
q.addEventListener('scroll', () => { paint.scrollTop = q.scrollTop; });

/** Statements of the text: [start, end) each, split at `;` outside quotes and comments. */
function statements(text) {
  const cuts = [0];
  for (const m of text.matchAll(TOKEN)) if (m[6] === ';') cuts.push(m.index + 1);
  cuts.push(text.length);
  return cuts.slice(1).map((end, i) => [cuts[i], end]).filter(([a, b]) => text.slice(a, b).replace(/;\s*$/, '').trim());
}

// ---- running ---------------------------------------------------------------------------------------------
async function run() {
  if (running) return;
  closeChoices();
  const chosen = q.selectionEnd > q.selectionStart;
  const offset = chosen ? q.selectionStart : 0;
  const text = chosen ? q.value.slice(q.selectionStart, q.selectionEnd) : q.value;
  remember(q.value);
  location.replace('#' + btoa(String.fromCharCode(...new TextEncoder().encode(q.value))));
  mark = null; highlight();
  $('results').replaceChildren();
  running = { abort: new AbortController(), id: null };
  $('run').disabled = true; $('cancel').disabled = false;
  try {
    for (const [from, to] of statements(text)) {
      const sql = text.slice(from, to).replace(/;\s*$/, '');
      if (!await one(sql, offset + from)) break;
    }
  } finally {
    running = null;
    $('run').disabled = false; $('cancel').disabled = true; $('progress').hidden = true;
  }
}

async function one(sql, offset) {
  const id = running.id = crypto.randomUUID(), began = performance.now();
  const watch = setInterval(() => progress(id, began), 400);
  const box = el('section', { class: 'card result', 'aria-label': 'Result' });
  $('results').append(box);
  lastStatement = sql;
  try {
    const result = await ask(sql, { queryId: id, signal: running.abort.signal });
    show(box, sql, result, performance.now() - began);
    return true;
  } catch (e) {
    const cancelled = e.name === 'AbortError';
    box.append(el('div', { class: 'err', role: 'alert' }, cancelled ? 'Cancelled.' : e.message));
    $('status').textContent = cancelled ? 'cancelled' : 'failed';
    const at = /failed at position (\d+)/.exec(e.message);
    // Positions count bytes from 1; the text here counts UTF-16 units.
    if (at) { mark = offset + unitsOfBytes(sql, Number(at[1]) - 1); highlight(); }
    return false;
  } finally { clearInterval(watch); }
}

function unitsOfBytes(text, bytesBefore) {
  const encoded = new TextEncoder().encode(text);
  return new TextDecoder().decode(encoded.slice(0, Math.max(0, bytesBefore))).length;
}

async function progress(id, began) {
  const seconds = (performance.now() - began) / 1000;
  $('status').textContent = seconds.toFixed(1) + ' s';
  try {
    const found = await ask(`SELECT read_rows, total_rows_approx, read_bytes, memory_usage FROM system.processes WHERE query_id = {id:String}`, { parameters: { id } });
    const row = found?.data?.[0];
    if (!row || running?.id !== id) return;
    const [rows, total, size, memory] = row.map(Number);
    const bar = $('progress');
    bar.hidden = false;
    if (total > 0) bar.value = Math.min(100, 100 * rows / total); else bar.removeAttribute('value');
    $('status').textContent = `${seconds.toFixed(1)} s · ${short(rows)} rows · ${bytes(size)} read · ${bytes(memory)} memory`;
  } catch { /* The query itself will tell. */ }
}

function cancel() {
  if (!running) return;
  const { id, abort } = running;
  abort.abort();
  if (id) send('KILL QUERY WHERE query_id = {id:String} ASYNC', { parameters: { id } }).catch(() => {});
}

// ---- results ---------------------------------------------------------------------------------------------
function show(box, sql, result, ms) {
  const took = ms < 1000 ? Math.round(ms) + ' ms' : (ms / 1000).toFixed(2) + ' s';
  if (!result) { $('status').textContent = `Ok, ${took}`; box.append(el('p', { class: 'ok' }, `Ok. ${took}`)); return; }
  if (!result.meta) { box.append(el('pre', {}, result.text)); $('status').textContent = took; return; }
  const stats = result.statistics ? ` · ${short(result.statistics.rows_read)} rows, ${bytes(result.statistics.bytes_read)} read` : '';
  $('status').textContent = `${short(result.rows)} rows · ${took}${stats}`;
  const view = el('div', { class: 'scroll' }), kind = shape(result);
  const pages = { Table: () => table(result, 5000), Chart: () => picture(result, sql.slice(0, 60)), JSON: () => el('pre', {}, JSON.stringify(result.data.slice(0, 500).map(r => Object.fromEntries(r.map((v, i) => [result.meta[i].name, v]))), null, 1)) };
  const tabs = Object.keys(pages).filter(name => name !== 'Chart' || kind).map(name => el('button', { role: 'tab', onclick: () => open(name) }, name));
  const open = name => { tabs.forEach(t => t.setAttribute('aria-selected', t.textContent === name)); view.replaceChildren(pages[name]()); };
  box.append(el('div', { class: 'bar', role: 'tablist' }, ...tabs, el('span', { class: 'grow' }), el('code', { title: sql }, sql.trim().replace(/\s+/g, ' ').slice(0, 120))), view);
  if (result.rows > 5000) box.append(el('p', { class: 'soft' }, `The first 5,000 of ${short(result.rows)} rows; export has all.`));
  open(kind === 'lines' ? 'Chart' : 'Table');
}

$('export').addEventListener('change', async () => {
  const format = $('export').value; $('export').value = '';
  if (!format || !lastStatement) return;
  try {
    const blob = await (await send(lastStatement, { format })).blob();
    const link = el('a', { href: URL.createObjectURL(blob), download: 'result.' + ({ CSVWithNames: 'csv', TabSeparatedWithNames: 'tsv', JSONEachRow: 'ndjson', Parquet: 'parquet', Markdown: 'md' })[format] });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (e) { $('status').textContent = e.message; }
});

// ---- history and links -----------------------------------------------------------------------------------
const past = () => { try { return JSON.parse(localStorage.getItem('history') || '[]'); } catch { return []; } };
let place = -1;
function remember(text) {
  const all = [text, ...past().filter(t => t !== text)].slice(0, HISTORY_MAX);
  try { localStorage.setItem('history', JSON.stringify(all)); } catch { /* full: history is a comfort only */ }
  place = -1;
}
function walk(step) {
  const all = past();
  place = Math.max(-1, Math.min(all.length - 1, place + step));
  if (place >= 0) { q.value = all[place]; mark = null; highlight(); }
}
$('past').addEventListener('click', () => {
  const find = el('input', { type: 'search', placeholder: 'Find', 'aria-label': 'Find in the history' }), list = el('div', { class: 'past' });
  const fill = () => list.replaceChildren(...past().filter(t => t.toLowerCase().includes(find.value.toLowerCase())).slice(0, 50)
    .map(t => el('button', { onclick: () => { q.value = t; mark = null; highlight(); box.close(); q.focus(); } }, t)));
  find.addEventListener('input', fill);
  const box = el('dialog', { 'aria-label': 'History' }, find, list, el('form', { method: 'dialog', class: 'bar' }, el('button', {}, 'Close')));
  box.addEventListener('close', () => box.remove());
  document.body.append(box); fill(); box.showModal();
});
$('share').addEventListener('click', async () => {
  location.replace('#' + btoa(String.fromCharCode(...new TextEncoder().encode(q.value))));
  try { await navigator.clipboard.writeText(location.href); $('status').textContent = 'link copied'; } catch { $('status').textContent = 'the link is in the address bar'; }
});

// ---- completion ------------------------------------------------------------------------------------------
let at = 0, found = [];
function wordBefore() { return /[\w.]*$/.exec(q.value.slice(0, q.selectionStart))[0]; }
function complete(forced) {
  const word = wordBefore(), low = word.toLowerCase();
  if (!forced && low.length < 2) return closeChoices();
  const starts = words.filter(w => w.low.startsWith(low) && w.low !== low), within = low.length > 2 ? words.filter(w => !w.low.startsWith(low) && w.low.includes(low)) : [];
  found = [...starts, ...within].slice(0, 40);
  if (!found.length) return closeChoices();
  at = 0;
  choices.replaceChildren(...found.map((w, i) => el('li', { role: 'option', id: 'choice' + i, 'aria-selected': i === 0, onmousedown: e => { e.preventDefault(); at = i; accept(); } }, w.text, el('small', {}, w.kind))));
  const before = q.value.slice(0, q.selectionStart).split('\n');
  choices.style.top = Math.min(q.offsetHeight, before.length * 21 + 16 - q.scrollTop) + 'px';
  choices.style.left = Math.min(before.at(-1).length * 8.4, Math.max(0, q.offsetWidth - 260)) + 'px';
  choices.hidden = false;
  q.setAttribute('aria-activedescendant', 'choice0');
}
function closeChoices() { choices.hidden = true; q.removeAttribute('aria-activedescendant'); }
function move(step) {
  at = (at + step + found.length) % found.length;
  [...choices.children].forEach((li, i) => li.setAttribute('aria-selected', i === at));
  choices.children[at].scrollIntoView({ block: 'nearest' });
  q.setAttribute('aria-activedescendant', 'choice' + at);
}
function accept() {
  const word = wordBefore(), text = found[at].text + (found[at].kind === 'function' ? '(' : '');
  q.setRangeText(text, q.selectionStart - word.length, q.selectionStart, 'end');
  closeChoices(); mark = null; highlight();
}

q.addEventListener('input', () => { mark = null; highlight(); complete(false); });
q.addEventListener('blur', closeChoices);
q.addEventListener('keydown', e => {
  const go = e.ctrlKey || e.metaKey;
  if (go && e.key === 'Enter') { e.preventDefault(); run(); }
  else if (go && e.key === ' ') { e.preventDefault(); complete(true); }
  else if (e.altKey && e.key === 'ArrowUp') { e.preventDefault(); walk(1); }
  else if (e.altKey && e.key === 'ArrowDown') { e.preventDefault(); walk(-1); }
  else if (!choices.hidden && e.key === 'ArrowDown') { e.preventDefault(); move(1); }
  else if (!choices.hidden && e.key === 'ArrowUp') { e.preventDefault(); move(-1); }
  else if (!choices.hidden && (e.key === 'Enter' || e.key === 'Tab')) { e.preventDefault(); accept(); }
  else if (e.key === 'Escape') { if (!choices.hidden) closeChoices(); else cancel(); }
});
$('run').addEventListener('click', run);
$('cancel').addEventListener('click', cancel);

// ---- what there is ---------------------------------------------------------------------------------------
async function learn() {
  const rows = async sql => { try { return (await ask(sql))?.data ?? []; } catch { return []; } };
  const [names, tables, columns, reserved] = await Promise.all([
    rows('SELECT name FROM system.functions ORDER BY name LIMIT 5000'),
    rows(`SELECT database, name, engine, total_rows FROM system.tables WHERE lower(database) != 'information_schema' ORDER BY database = 'system', database, name LIMIT 2000`),
    rows(`SELECT DISTINCT name FROM system.columns WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA') LIMIT 3000`),
    rows('SELECT keyword FROM system.keywords LIMIT 2000'),
  ]);
  functions = new Map(names.map(([n]) => [n.toLowerCase(), n]));
  keywords = new Set((reserved.length ? reserved.flatMap(([k]) => k.split(' ')) : 'SELECT FROM WHERE GROUP BY ORDER LIMIT WITH AS JOIN ON AND OR NOT IN INSERT INTO VALUES CREATE TABLE VIEW MATERIALIZED ENGINE SETTINGS FORMAT SHOW DESCRIBE ALTER DROP'.split(' ')).map(k => k.toUpperCase()));
  const kinds = [...columns.map(([n]) => [n, 'column']), ...tables.flatMap(([d, n]) => d === 'default' ? [[n, 'table']] : [[d + '.' + n, 'table']]), ...names.map(([n]) => [n, 'function']), ...[...keywords].map(k => [k, 'keyword'])];
  words = kinds.map(([text, kind]) => ({ text, kind, low: text.toLowerCase() }));
  fillTree(tables);
  $('filter').addEventListener('input', () => fillTree(tables));
  highlight();
}
function fillTree(tables) {
  const wanted = $('filter').value.toLowerCase(), groups = new Map();
  for (const t of tables) if ((t[0] + '.' + t[1]).toLowerCase().includes(wanted)) groups.set(t[0], [...(groups.get(t[0]) || []), t]);
  $('tables').replaceChildren(...[...groups].map(([database, list]) => el('details', { open: wanted || database !== 'system' ? true : undefined }, el('summary', {}, database, ' ', el('small', {}, list.length)),
    ...list.map(([d, n, engine, total]) => el('button', { title: `${engine}${total === null ? '' : ', ' + short(Number(total)) + ' rows'}`, onclick: () => { q.value = `SELECT * FROM ${d}.${/^\w+$/.test(n) ? n : '`' + n + '`'} LIMIT 100`; mark = null; highlight(); run(); } }, n)))));
}

const given = location.hash.slice(1);
try { q.value = given ? new TextDecoder().decode(Uint8Array.from(atob(given), c => c.charCodeAt(0))) : ''; } catch { q.value = ''; }
q.value ||= past()[0] || `SELECT database, name, engine, total_rows, total_bytes\nFROM system.tables\nWHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')`;
highlight();
learn();
q.focus();
