// What this program is: its version, how it was built, and whose work is in it.
import { $, ask, el, header, table } from './house.js';

header('Binary');

const BUILD = 'SELECT name, value FROM system.build_options ORDER BY name';
const LICENSES = 'SELECT library_name, license_type FROM system.licenses ORDER BY library_name';

async function show(place, title, sql) {
  try {
    const result = await ask(sql);
    if (result.data.length) $(place).replaceChildren(el('section', { class: 'card', 'aria-label': title }, el('h2', {}, title), el('div', { class: 'scroll' }, table(result))));
  } catch (e) { $('status').textContent = e.message; }
}

show('build', 'Build', BUILD);
show('licenses', 'Licenses', LICENSES);
