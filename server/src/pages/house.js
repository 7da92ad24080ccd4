// What the pages share: asking the server, the header, tables and charts. No outside resources.

const NAMES = { '/play': 'Query', '/dashboard': 'Dashboards', '/kafka': 'Kafka', '/merges': 'Merges' };
export const $ = id => document.getElementById(id);

/** An element with attributes and children; text is never read as HTML. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(c => c !== undefined && c !== null));
  return node;
}

/** The credentials kept for this tab only. */
export const login = {
  get user() { return sessionStorage.getItem('user') || 'default'; },
  get password() { return sessionStorage.getItem('password') || ''; },
  set(user, password) { sessionStorage.setItem('user', user); sessionStorage.setItem('password', password); },
};

function headers() {
  const h = { 'X-ClickHouse-User': login.user };
  if (login.password) h['X-ClickHouse-Key'] = login.password;
  return h;
}

/** Sends a statement. `options`: format, parameters (object), signal, queryId. Resolves to the response; rejects with the server's text. */
export async function send(sql, options = {}) {
  const url = new URLSearchParams({ default_format: options.format || 'JSONCompact', ...(options.settings || {}) });
  for (const [name, value] of Object.entries(options.parameters || {})) url.set('param_' + name, value);
  if (options.queryId) url.set('query_id', options.queryId);
  const answer = await fetch('/?' + url, { method: 'POST', body: sql, headers: headers(), signal: options.signal });
  if (answer.status === 401 || answer.status === 403) askLogin();
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer;
}

/** Rows of a statement: { meta, data, rows, statistics }, or null if it has no result. */
export async function ask(sql, options = {}) {
  const text = await (await send(sql, options)).text();
  if (!text.trim()) return null;
  try { return JSON.parse(text); } catch { return { text }; }
}

/** Writes the page's header into `#top`. */
export function header(title) {
  const links = Object.entries(NAMES).map(([path, name]) =>
    el('a', { href: path, 'aria-current': location.pathname === path ? 'page' : undefined }, name));
  $('top').append(el('h1', {}, el('b', {}, 'Pumphouse'), ' ' + title), el('nav', { 'aria-label': 'Pages' }, ...links),
    el('span', { class: 'grow' }), el('button', { onclick: askLogin, title: 'User and password' }, 'Sign in'));
}

let dialog = null;
function askLogin() {
  if (dialog) return;
  const user = el('input', { value: login.user, autocomplete: 'username', 'aria-label': 'User' });
  const password = el('input', { type: 'password', autocomplete: 'current-password', 'aria-label': 'Password' });
  dialog = el('dialog', { 'aria-label': 'Sign in' }, el('h2', {}, 'Sign in'), el('form', { method: 'dialog', class: 'bar' }, user, password,
    el('button', { class: 'main' }, 'Use')));
  dialog.addEventListener('close', () => { login.set(user.value || 'default', password.value); dialog.remove(); dialog = null; });
  document.body.append(dialog);
  dialog.showModal();
}

/** A card with a title and a result's rows, or a sentence if there are none. */
export function card(title, result, none) {
  return el('section', { class: 'card', 'aria-label': title }, el('h2', {}, title),
    result.data.length ? el('div', { class: 'scroll' }, table(result)) : el('p', { class: 'soft' }, none));
}

/** Asks before something that changes the server; resolves to true if the person said yes. */
export function confirm(question, action) {
  return new Promise(resolve => {
    const box = el('dialog', { 'aria-label': question }, el('p', {}, question), el('form', { method: 'dialog', class: 'bar' },
      el('button', { value: 'no' }, 'Cancel'), el('button', { value: 'yes', class: 'bad' }, action)));
    box.addEventListener('close', () => { resolve(box.returnValue === 'yes'); box.remove(); });
    document.body.append(box);
    box.showModal();
  });
}

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 });
const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });
export const short = n => (Math.abs(n) >= 10000 ? compact : plain).format(n);
export const bytes = n => { const u = ['B', 'KiB', 'MiB', 'GiB', 'TiB']; let i = 0; while (n >= 1024 && i < 4) { n /= 1024; i++; } return plain.format(Math.round(n * 10) / 10) + ' ' + u[i]; };

const inner = type => type.replace(/^(LowCardinality|Nullable)\((.*)\)$/, '$2').replace(/^(LowCardinality|Nullable)\((.*)\)$/, '$2');
export const isNumber = type => /^(U?Int|Float|Decimal|BFloat)/.test(inner(type));
export const isTime = type => /^(Date|DateTime)/.test(inner(type));

/** A table of a result, the first `limit` rows. */
export function table(result, limit = 1000) {
  const numeric = result.meta.map(c => isNumber(c.type));
  const cellOf = (v, i) => v === null ? el('td', { class: 'null' }, 'NULL')
    : el('td', { class: numeric[i] ? 'n' : undefined, title: String(v).length > 60 ? String(v) : undefined }, typeof v === 'object' ? JSON.stringify(v) : String(v));
  const body = result.data.slice(0, limit).map(row => el('tr', {}, ...row.map(cellOf)));
  return el('table', { class: 'rows' },
    el('thead', {}, el('tr', {}, ...result.meta.map(c => el('th', { scope: 'col' }, c.name, el('small', {}, c.type))))), el('tbody', {}, ...body));
}

/** What picture suits the result: `lines`, `bars`, `number`, or null. */
export function shape(result) {
  if (!result || !result.meta || !result.data.length) return null;
  const types = result.meta.map(c => c.type), numbers = types.filter(isNumber).length;
  if (result.data.length === 1 && types.length === 1 && isNumber(types[0])) return 'number';
  if (result.data.length < 2 || !numbers) return null;
  if (isTime(types[0]) && numbers) return 'lines';
  if (!isNumber(types[0]) && isNumber(types[types.length - 1])) return 'bars';
  if (types.length >= 2 && types.every(isNumber)) return 'lines';
  return null;
}

const SVG = 'http://www.w3.org/2000/svg';
function svg(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const time = v => { const t = Date.parse(String(v).replace(' ', 'T') + (String(v).length > 10 ? 'Z' : '')); return Number.isNaN(t) ? Number(v) : t; };

/** Series of a result: x is the first column; a text column names the series, else each number column is one. */
export function series(result) {
  const types = result.meta.map(c => c.type), label = types.findIndex((t, i) => i > 0 && !isNumber(t) && !isTime(t));
  const isX = isTime(types[0]), found = new Map();
  const add = (name, x, y) => { if (!found.has(name)) found.set(name, []); if (y !== null && Number.isFinite(Number(y))) found.get(name).push([x, Number(y)]); };
  for (const row of result.data) {
    const x = isX ? time(row[0]) : Number(row[0]);
    types.forEach((t, i) => { if (i > 0 && isNumber(t)) add(label > 0 ? String(row[label]) : result.meta[i].name, x, row[i]); });
  }
  return { isTime: isX, list: [...found].map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) })).slice(0, 24) };
}

function tick(x, isTime, span) {
  if (!isTime) return short(x);
  const iso = new Date(x).toISOString();
  return span > 2 * 86400e3 ? iso.slice(5, 10) : span > 120e3 ? iso.slice(11, 16) : iso.slice(11, 19);
}

/** The step of about `count` ticks over `span`: 1, 2, 2.5 or 5 times a power of ten. */
function step(span, count) {
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].find(m => m * power >= rough * 0.999) * power;
}

/** A line chart that says its values to the pointer and to screen readers. */
export function lines(result, title = 'Chart') {
  const { isTime: timed, list } = series(result), all = list.flatMap(s => s.points);
  if (!all.length) return el('p', { class: 'soft' }, 'no points');
  const W = 900, H = 220, L = 52, B = 20, T = 8, R = 8;
  let [x0, x1] = [Math.min(...all.map(p => p[0])), Math.max(...all.map(p => p[0]))];
  let [y0, y1] = [Math.min(0, ...all.map(p => p[1])), Math.max(...all.map(p => p[1]))];
  if (x0 === x1) x1 = x0 + 1; if (y0 === y1) y1 = y0 + 1;
  const dy = step(y1 - y0, 4);
  [y0, y1] = [Math.floor(y0 / dy) * dy, Math.ceil(y1 / dy) * dy];
  const X = x => L + (x - x0) / (x1 - x0) * (W - L - R), Y = y => H - B - (y - y0) / (y1 - y0) * (H - B - T);
  const picture = svg('svg', { class: 'chart', viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `${title}: ${list.map(s => s.name + ' ' + short(s.points.at(-1)?.[1] ?? 0)).slice(0, 6).join(', ')}` });
  for (let i = 0; i <= Math.round((y1 - y0) / dy); i++) {
    const y = y0 + dy * i;
    picture.append(svg('line', { x1: L, x2: W - R, y1: Y(y), y2: Y(y), stroke: 'var(--line)' }), svg('text', { x: L - 6, y: Y(y) + 4, 'text-anchor': 'end' }, short(y)));
  }
  for (let i = 0; i <= 5; i++) {
    const x = x0 + (x1 - x0) * i / 5;
    picture.append(svg('text', { x: X(x), y: H - 4, 'text-anchor': i === 0 ? 'start' : i === 5 ? 'end' : 'middle' }, tick(x, timed, x1 - x0)));
  }
  list.forEach((s, i) => {
    const d = s.points.map((p, j) => (j ? 'L' : 'M') + X(p[0]).toFixed(1) + ' ' + Y(p[1]).toFixed(1)).join('');
    picture.append(svg('path', { d, fill: 'none', stroke: `var(--s${i % 8})`, 'stroke-width': 2, 'stroke-linejoin': 'round' }));
    if (s.points.length === 1) picture.append(svg('circle', { cx: X(s.points[0][0]), cy: Y(s.points[0][1]), r: 3, fill: `var(--s${i % 8})` }));
  });
  const guide = svg('line', { y1: T, y2: H - B, stroke: 'var(--soft)', 'stroke-dasharray': '3 3', visibility: 'hidden' });
  picture.append(guide);
  const legend = el('div', { class: 'legend' });
  const say = x => legend.replaceChildren(...(x === null ? [] : [el('span', {}, tick(x, timed, 0))]), ...list.map((s, i) => {
    const p = x === null ? s.points.at(-1) : s.points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a, s.points[0] ?? [0, 0]);
    const dot = el('i'); dot.style.background = `var(--s${i % 8})`;
    return el('span', {}, dot, `${s.name} ${p ? short(p[1]) : '–'}`);
  }));
  picture.addEventListener('pointermove', e => {
    const box = picture.getBoundingClientRect(), x = x0 + ((e.clientX - box.left) / box.width * W - L) / (W - L - R) * (x1 - x0);
    if (x < x0 || x > x1) return;
    guide.setAttribute('x1', X(x)); guide.setAttribute('x2', X(x)); guide.setAttribute('visibility', 'visible'); say(x);
  });
  picture.addEventListener('pointerleave', () => { guide.setAttribute('visibility', 'hidden'); say(null); });
  picture.setAttribute('preserveAspectRatio', 'none');
  say(null);
  return el('div', {}, picture, legend);
}

/** Horizontal bars: the text columns name them, the last number is their length. */
export function bars(result, limit = 30) {
  const last = result.meta.map(c => isNumber(c.type)).lastIndexOf(true);
  const rows = result.data.slice(0, limit), max = Math.max(1e-9, ...rows.map(r => Number(r[last]) || 0));
  const name = row => row.filter((_, i) => !isNumber(result.meta[i].type)).map(v => v === '' ? '(empty)' : String(v)).join(' · ');
  return el('div', {}, ...rows.map(row => {
    const bar = el('i'); bar.style.width = Math.max(0, 100 * row[last] / max) + '%';
    return el('div', { class: 'hbar' }, el('span', { title: name(row) }, name(row)), el('div', {}, bar), el('b', {}, short(Number(row[last]))));
  }));
}

/** The picture that suits, or a table. */
export function picture(result, title) {
  switch (shape(result)) {
    case 'lines': return lines(result, title);
    case 'bars': return bars(result);
    case 'number': return el('p', { style: undefined }, el('strong', {}, short(Number(result.data[0][0]))), ' ', result.meta[0].name);
    default: return el('div', { class: 'scroll' }, table(result, 200));
  }
}
