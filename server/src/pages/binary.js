// What this program is: its version, how it was built, and whose work is in it.
import { $, ask, card, header } from './house.js';

header('Binary');

const BUILD = 'SELECT name, value FROM system.build_options ORDER BY name';
const LICENSES = 'SELECT library_name, license_type FROM system.licenses ORDER BY library_name';

async function show(place, title, sql, none) {
  try {
    $(place).replaceChildren(card(title, await ask(sql), none));
  } catch (e) { $('status').textContent = e.message; }
}

show('upper', 'Build', BUILD, 'Nothing is known of it.');
show('lower', 'Licenses', LICENSES, 'None are listed.');
