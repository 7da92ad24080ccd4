// Pipelines: from a topic through views to tables, with live counters, and the controls that change them.
import { $, el, ask, header, table, confirm, short } from './house.js';

header('Kafka');
const before = new Map();

/** One row per stream table, with its consumers' partitions. */
async function streams() {
  const [consumers, tables] = await Promise.all([
    ask('SELECT * FROM system.kafka_consumers ORDER BY database, table, consumer_id'),
    ask("SELECT database, name, engine, total_rows, create_table_query FROM system.tables WHERE lower(database) NOT IN ('system', 'information_schema')"),
  ]);
  const names = consumers.meta.map(c => c.name), rows = consumers.data.map(r => Object.fromEntries(r.map((v, i) => [names[i], v])));
  const all = tables.data.map(([database, name, engine, total, sql]) => ({ database, name, engine, total, sql, key: `${database}.${name}` }));
  return all.filter(t => t.engine === 'Kafka' || t.engine === 'FileLog').map(t => ({ ...t, consumers: rows.filter(r => r.database === t.database && r.table === t.name), views: viewsOf(t.key, all) }));
}

const bare = name => name.replace(/`/g, '');
/** Views that read from `key`, each with its target and the views on that. */
function viewsOf(key, all, depth = 0) {
  if (depth > 8) return [];
  return all.filter(v => v.engine === 'MaterializedView' && from(v) === key).map(v => {
    const to = /\bTO\s+([`\w]+\.[`\w.-]+)/.exec(v.sql), target = to ? bare(to[1]) : null;
    return { ...v, target: all.find(t => t.key === target) ?? { key: target ?? 'its own table', total: v.total }, views: target ? viewsOf(target, all, depth + 1) : [] };
  });
}
function from(view) {
  const found = /\bFROM\s+([`\w]+\.[`\w-]+)/.exec(view.sql);
  return found ? bare(found[1]) : null;
}

const sum = (rows, name) => rows.reduce((total, r) => total + (Array.isArray(r[name]) ? r[name].reduce((a, b) => a + Math.max(0, Number(b)), 0) : Number(r[name]) || 0), 0);
const figure = (name, value, kind) => el('div', {}, el('small', {}, name), el('b', { class: kind }, value));

function draw(list) {
  const now = performance.now();
  $('streams').replaceChildren(...list.map(t => {
    const read = sum(t.consumers, 'num_rows_read') || sum(t.consumers, 'num_messages_read'), last = before.get(t.key);
    const rate = last && now > last.now ? Math.max(0, (read - last.read) / (now - last.now) * 1000) : 0;
    before.set(t.key, { read, now });
    const states = [...new Set(t.consumers.map(c => c.state).filter(Boolean))], errors = t.consumers.flatMap(c => c['exceptions.text'] ?? []).filter(Boolean), lag = sum(t.consumers, 'lag');
    const topics = [...new Set(t.consumers.flatMap(c => c['assignments.topic'] ?? []))];
    return el('section', { class: 'card stream', 'aria-label': t.key }, el('div', { class: 'head' }, el('h2', {}, t.key), el('span', { class: states.some(s => /paused|stopped|error|failed/i.test(s)) ? 'warn' : 'ok' }, states.join(', ') || 'no consumer yet'), el('span', { class: 'grow' }), ...controls(t)),
      el('div', { class: 'figures' }, figure('rows per second', short(Math.round(rate))), figure('rows read', short(read)), figure('messages behind', short(lag), lag > 0 ? 'warn' : 'ok'), figure('commits', short(sum(t.consumers, 'num_commits'))), figure('consumers', String(t.consumers.length))),
      el('div', { class: 'flow', 'aria-label': 'From topic to tables' }, el('div', { class: 'step' }, el('small', {}, 'topic'), el('b', {}, topics.join(', ') || '–')), el('div', { class: 'arrow', 'aria-hidden': 'true' }, '→'), el('div', { class: 'step' }, el('small', {}, t.engine + ' table'), el('b', {}, t.key)), branches(t.views)),
      errors.length ? el('div', { class: 'err' }, errors.slice(-3).join('\n')) : null,
      el('details', {}, el('summary', {}, 'Partitions'), partitions(t)));
  }));
  if (!list.length) $('streams').replaceChildren(el('p', {}, 'No stream tables yet. A table with ', el('code', {}, 'ENGINE = Kafka'), ' and a materialized view on it will appear here.'));
}

function branches(views) {
  if (!views.length) return null;
  return el('div', { class: 'branches' }, ...views.map(v => el('div', { class: 'branch' }, el('div', { class: 'arrow', 'aria-hidden': 'true' }, '→'), el('div', { class: 'step' }, el('small', {}, 'view'), el('b', {}, v.key)), el('div', { class: 'arrow', 'aria-hidden': 'true' }, '→'),
    el('div', { class: 'step' }, el('small', {}, 'table'), el('b', {}, v.target.key), el('small', {}, v.target.total === null || v.target.total === undefined ? '' : short(Number(v.target.total)) + ' rows')), branches(v.views))));
}

function partitions(t) {
  const rows = t.consumers.flatMap(c => (c['assignments.topic'] ?? []).map((topic, i) => [topic, c['assignments.partition_id']?.[i], c['assignments.current_offset']?.[i], Array.isArray(c.lag) ? c.lag[i] : c['assignments.lag']?.[i] ?? null, c.consumer_id]));
  return rows.length ? el('div', { class: 'scroll' }, table({ meta: [['topic', 'String'], ['partition', 'Int32'], ['position', 'Int64'], ['lag', 'Int64'], ['consumer', 'String']].map(([name, type]) => ({ name, type })), data: rows })) : el('p', { class: 'soft' }, 'none assigned');
}

function controls(t) {
  const quoted = '`' + t.database + '`.`' + t.name + '`';
  const run = async (sql, question, action) => {
    if (!await confirm(question, action)) return;
    try { await ask(sql); $('status').textContent = 'done: ' + sql; } catch (e) { $('status').textContent = e.message; }
    tick();
  };
  return [
    el('button', { onclick: () => run(`SYSTEM STOP ${quoted}`, `Stop consuming into ${t.key}? Nothing is lost: it goes on where it stopped.`, 'Pause') }, 'Pause'),
    el('button', { onclick: () => run(`SYSTEM START ${quoted}`, `Go on consuming into ${t.key}?`, 'Resume') }, 'Resume'),
    el('button', { onclick: () => seek(t, quoted, run) }, 'Seek…'),
  ];
}

function seek(t, quoted, run) {
  const to = el('select', { 'aria-label': 'Seek to' }, el('option', { value: 'EARLIEST' }, 'the earliest message'), el('option', { value: 'LATEST' }, 'the latest message'), el('option', { value: 'TIMESTAMP' }, 'a time'));
  const when = el('input', { type: 'datetime-local', step: 1, 'aria-label': 'Time (UTC)' });
  const box = el('dialog', { 'aria-label': 'Seek ' + t.key }, el('h2', {}, 'Seek ' + t.key), el('p', {}, 'Rows that were read before and are read again are in the tables twice; rows that are passed over are in none.'), el('form', { method: 'dialog', class: 'bar' }, to, when, el('button', { value: 'no' }, 'Cancel'), el('button', { value: 'yes', class: 'bad' }, 'Seek')));
  box.addEventListener('close', () => {
    box.remove();
    if (box.returnValue !== 'yes') return;
    const place = to.value === 'TIMESTAMP' ? `TIMESTAMP '${when.value.replace('T', ' ')}'` : to.value;
    run(`SYSTEM SEEK ${quoted} TO ${place}`, `Move ${t.key} to ${place}?`, 'Seek');
  });
  document.body.append(box);
  box.showModal();
}

let busy = false;
async function tick() {
  if (busy || document.querySelector('dialog[open]') || document.hidden) return;
  busy = true;
  const open = new Set([...document.querySelectorAll('details[open]')].map(d => d.closest('section').getAttribute('aria-label')));
  try {
    draw(await streams());
    document.querySelectorAll('section.stream').forEach(s => { if (open.has(s.getAttribute('aria-label'))) s.querySelector('details').open = true; });
  } catch (e) { $('status').textContent = e.message; } finally { busy = false; }
}
tick();
setInterval(tick, 2000);
