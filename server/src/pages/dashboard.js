// Dashboards: panels are queries in `system.dashboards`, in `default.dashboards` if there is one, and in the link.
import { $, el, ask, header, picture } from './house.js';

header('dashboards');
let boards = new Map(), current = null, timer = null, generation = 0;
const state = read();

/** The address's fragment: board, range, refresh, and panels that only the link has. */
function read() {
  try { return { board: null, range: 3600, refresh: 5, extra: [], ...JSON.parse(decodeURIComponent(location.hash.slice(1)) || '{}') }; } catch { return { board: null, range: 3600, refresh: 5, extra: [] }; }
}
function write() { history.replaceState(null, '', '#' + encodeURIComponent(JSON.stringify(state))); }

async function load() {
  const list = [...(await ask('SELECT dashboard, title, query FROM system.dashboards ORDER BY dashboard')).data];
  try {
    const own = await ask("EXISTS TABLE default.dashboards");
    if (Number(own.data[0][0])) list.push(...(await ask('SELECT dashboard, title, query FROM default.dashboards ORDER BY dashboard, title')).data);
  } catch { /* Without the right to ask, the shipped boards remain. */ }
  boards = new Map();
  for (const [dashboard, title, query] of list) boards.set(dashboard, [...(boards.get(dashboard) || []), { title, query }]);
  if (!boards.has(state.board)) state.board = [...boards.keys()][0] ?? 'Own';
  $('boards').replaceChildren(...boards.keys().map(name => el('button', { role: 'tab', onclick: () => { state.board = name; state.extra = []; show(); } }, name)));
  show();
}

function show() {
  write();
  [...$('boards').children].forEach(b => b.setAttribute('aria-selected', b.textContent === state.board));
  const list = [...(boards.get(state.board) || []), ...state.extra];
  current = list.map(panel => {
    const body = el('div', {}, el('p', { class: 'soft' }, '…'));
    const node = el('section', { class: 'card panel', 'aria-label': panel.title }, el('div', { class: 'head' }, el('h2', {}, panel.title), el('button', { onclick: () => edit(panel), 'aria-label': 'Edit ' + panel.title }, 'Edit'),
      el('button', { onclick: () => open('/play#' + btoa(String.fromCharCode(...new TextEncoder().encode(filled(panel.query))))), 'aria-label': 'SQL of ' + panel.title }, 'SQL')), body);
    return { panel, body, node };
  });
  $('panels').replaceChildren(...current.map(c => c.node));
  refresh();
}

const rounding = () => Math.max(1, Math.round(state.range / 180));
const filled = sql => sql.replaceAll('{seconds:UInt32}', state.range).replaceAll('{rounding:UInt32}', rounding());

async function refresh() {
  clearTimeout(timer);
  const mine = ++generation;
  let failed = 0;
  for (const { panel, body } of current) {
    if (mine !== generation) return;
    try {
      const result = await ask(panel.query, { parameters: { seconds: state.range, rounding: rounding() } });
      if (mine !== generation) return;
      body.replaceChildren(result?.data?.length ? picture(asTime(result), panel.title) : el('p', { class: 'soft' }, 'nothing in this range'));
    } catch (e) { failed++; body.replaceChildren(el('div', { class: 'err' }, e.message.slice(0, 400))); }
  }
  $('status').textContent = failed ? `${failed} of ${current.length} panels failed` : '';
  if (state.refresh > 0) timer = setTimeout(refresh, state.refresh * 1000);
}

/** A first column `t` of whole seconds is a time, as ClickHouse's boards write it. */
function asTime(result) {
  if (result.meta[0].name !== 't' || !/Int/.test(result.meta[0].type)) return result;
  const meta = [{ name: 't', type: 'DateTime' }, ...result.meta.slice(1)];
  return { ...result, meta, data: result.data.map(([t, ...rest]) => [new Date(Number(t) * 1000).toISOString().slice(0, 19).replace('T', ' '), ...rest]) };
}

function edit(panel) {
  const title = el('input', { value: panel.title, 'aria-label': 'Title' }), query = el('textarea', { 'aria-label': 'Query', spellcheck: 'false' });
  query.value = panel.query;
  const box = el('dialog', { 'aria-label': 'Panel' }, el('h2', {}, 'Panel'), title, query, el('form', { method: 'dialog', class: 'bar' },
    el('button', { value: 'no' }, 'Cancel'), state.extra.includes(panel) && el('button', { value: 'remove', class: 'bad' }, 'Remove'), el('button', { value: 'yes', class: 'main' }, 'Show (kept in the link)')));
  box.addEventListener('close', () => {
    const choice = box.returnValue;
    box.remove();
    if (choice === 'remove') state.extra = state.extra.filter(p => p !== panel);
    else if (choice === 'yes') {
      const changed = { title: title.value, query: query.value }, place = state.extra.indexOf(panel);
      if (place >= 0) state.extra[place] = changed; else state.extra.push(changed);
    } else return;
    show();
  });
  document.body.append(box);
  box.showModal();
}

$('range').value = String(state.range); $('refresh').value = String(state.refresh);
$('range').addEventListener('change', () => { state.range = Number($('range').value); write(); refresh(); });
$('refresh').addEventListener('change', () => { state.refresh = Number($('refresh').value); write(); refresh(); });
$('add').addEventListener('click', () => edit({ title: 'New panel', query: 'SELECT database, sum(rows) FROM system.parts WHERE active GROUP BY database ORDER BY 2 DESC' }));
document.addEventListener('visibilitychange', () => { if (document.hidden) { clearTimeout(timer); generation++; } else refresh(); });
load().catch(e => { $('status').textContent = e.message; });
