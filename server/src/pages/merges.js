// Merges and mutations that run, with how far they are, and the tables with the most parts.
import { $, ask, card, header } from './house.js';

header('Merges');

const RUNNING = `SELECT database, table, if(is_mutation, 'mutation', 'merge') AS kind, round(elapsed, 1) AS seconds, round(100 * progress) AS percent,
  num_parts AS parts, result_part_name AS result, formatReadableSize(total_size_bytes_compressed) AS size, rows_read, rows_written,
  formatReadableSize(memory_usage) AS memory FROM system.merges ORDER BY elapsed DESC`;
const WAITING = `SELECT database, table, mutation_id, command, create_time, parts_to_do, latest_fail_reason FROM system.mutations
  WHERE NOT is_done ORDER BY create_time LIMIT 100`;
const TABLES = `SELECT database, table, count() AS parts, uniqExact(partition_id) AS partitions, max(level) AS level, sum(rows) AS rows,
  formatReadableSize(sum(bytes_on_disk)) AS size, formatReadableSize(avg(bytes_on_disk)) AS mean_part
  FROM system.parts WHERE active GROUP BY database, table ORDER BY parts DESC LIMIT 100`;

async function tick() {
  if (document.hidden) return;
  try {
    const [running, waiting, tables] = await Promise.all([RUNNING, WAITING, TABLES].map(sql => ask(sql)));
    $('upper').replaceChildren(card('Running', running, 'Nothing is being merged.'), card('Mutations to do', waiting, 'None.'));
    $('lower').replaceChildren(card('Parts by table', tables, 'No parts yet.'));
    $('status').textContent = '';
  } catch (e) { $('status').textContent = e.message; }
}

tick();
setInterval(tick, 2000);
