// The pages in a real headless Chromium: what a person sees, clicks and types. Takes the server's address
// and, if pictures are wanted, a folder for them. Any script error, refused resource or serious accessibility
// finding fails the run.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import packaged from '@sparticuz/chromium';
import { chromium } from 'playwright-core';

const [base, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;
try {
  browser = await chromium.launch({
    executablePath: process.env.PUMPHOUSE_CHROMIUM || await packaged.executablePath(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
} catch (e) {
  // Not the pages' fault: a machine without the browser's libraries.
  console.log('the browser does not start: ' + String(e.message).slice(0, 500));
  process.exit(3);
}
let failures = 0;

async function test(name, path, options, body) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage(), trouble = [];
  page.on('pageerror', e => trouble.push('script error: ' + e.message));
  page.on('console', m => { if (m.type() === 'error' && !/status of (4|5)/.test(m.text())) trouble.push('console: ' + m.text()); });
  try {
    await page.goto(base + path);
    await body(page);
    if (trouble.length) throw new Error(trouble.join('\n'));
    console.log('ok   ' + name);
  } catch (e) {
    failures++;
    console.log('FAIL ' + name + '\n     ' + String(e.message).slice(0, 1500) + '\n' + trouble.join('\n'));
  }
  if (pictures) await page.screenshot({ path: `${pictures}/${name.replace(/\W+/g, '-')}.png` }).catch(() => {});
  await context.close();
}

function expect(yes, what) { if (!yes) throw new Error('expected: ' + what); }

async function accessible(page) {
  // Evaluated by the test, not by the page, so the page's policy stands.
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  const serious = found.violations.filter(v => ['serious', 'critical'].includes(v.impact));
  expect(!serious.length, 'no serious accessibility finding, got ' + serious.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 120)}`).join('; '));
}

async function type(page, sql) {
  await page.fill('#q', sql);
  await page.keyboard.press('Control+Enter');
}

await test('query table', '/play', {}, async page => {
  await type(page, "SELECT number AS n, toString(number) AS text, NULL AS nothing FROM numbers(3)");
  await page.waitForSelector('table.rows tbody tr:nth-child(3)');
  expect(await page.textContent('table.rows tbody tr:nth-child(3) td:nth-child(2)') === '2', 'the third row says 2');
  expect((await page.textContent('#status')).includes('3 rows'), 'the status counts rows');
  await page.waitForSelector('#paint .k');
  await accessible(page);
});

await test('query chart', '/play', {}, async page => {
  await type(page, "SELECT toDateTime('2024-01-01 00:00:00') + number * 60 AS time, number % 7 AS a, number % 3 AS b FROM numbers(100)");
  await page.waitForSelector('svg.chart path');
  expect(await page.locator('svg.chart path').count() === 2, 'one line a number column');
  await page.click('[role=tab]:has-text("Table")');
  expect(await page.locator('table.rows tbody tr').count() === 100, 'the table has all rows');
});

await test('query several statements and an error at its place', '/play', {}, async page => {
  await type(page, 'SELECT 1;\nSELECT 2 3 FROM x');
  await page.waitForSelector('.err');
  expect(await page.locator('.result').count() === 2, 'two results');
  expect((await page.textContent('.err')).includes('SYNTAX_ERROR'), "the server's error is shown");
  expect(await page.locator('#paint .bad').count() === 1, 'the place is marked');
  await accessible(page);
});

await test('query completion by keyboard', '/play', {}, async page => {
  await page.waitForFunction(() => document.querySelectorAll('#tables summary').length > 0);
  await page.fill('#q', '');
  await page.type('#q', 'SELECT toStartOfHo');
  await page.waitForSelector('#choices:not([hidden]) li');
  await page.keyboard.press('Tab');
  expect((await page.inputValue('#q')) === 'SELECT toStartOfHour(', 'Tab completes, got ' + await page.inputValue('#q'));
});

await test('query history and link', '/play', {}, async page => {
  await type(page, 'SELECT 41 + 1');
  await page.waitForSelector('table.rows td');
  const link = page.url();
  await page.fill('#q', 'SELECT 7');
  await page.focus('#q');
  await page.keyboard.press('Alt+ArrowUp');
  expect((await page.inputValue('#q')) === 'SELECT 41 + 1', 'Alt+Up brings back the last query');
  await page.goto('about:blank');
  await page.goto(link);
  expect((await page.inputValue('#q')) === 'SELECT 41 + 1', 'the link holds the query');
});

await test('query cancel', '/play', {}, async page => {
  await type(page, 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1');
  await page.waitForSelector('#cancel:not([disabled])');
  await page.waitForTimeout(700);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.err:has-text("Cancelled")');
  await page.waitForFunction(async () => {
    const answer = await fetch('/?query=' + encodeURIComponent("SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'"));
    return (await answer.text()).trim() === '0';
  }, null, { timeout: 3000, polling: 200 });
});

await test('dashboards', '/dashboard', {}, async page => {
  await page.waitForSelector('#boards button');
  const boards = await page.locator('#boards button').allTextContents();
  expect(boards.length >= 4, 'the shipped boards, got ' + boards);
  for (const board of boards) {
    await page.click(`#boards button:text-is("${board}")`);
    await page.waitForFunction(() => [...document.querySelectorAll('.panel')].every(p => !p.textContent.endsWith('…')), null, { timeout: 15000 });
    expect(await page.locator('.panel .err').count() === 0, `no panel of ${board} fails: ${await page.locator('.panel .err').allTextContents()}`);
  }
  await accessible(page);
});

await test('dashboards own panel in the link', '/dashboard', {}, async page => {
  await page.waitForSelector('.panel');
  await page.click('#add');
  await page.fill('dialog input', 'Mine');
  await page.fill('dialog textarea', 'SELECT name, number FROM (SELECT toString(number) AS name, number FROM numbers(5))');
  await page.click('dialog button.main');
  await page.waitForSelector('.panel:has-text("Mine") .hbar');
  const link = page.url();
  await page.goto('about:blank');
  await page.goto(link);
  await page.waitForSelector('.panel:has-text("Mine") .hbar');
});

await test('kafka', '/kafka', {}, async page => {
  await page.waitForSelector('section.stream, #streams p');
  await accessible(page);
});

await test('query on a dark phone', '/play', { viewport: { width: 390, height: 800 }, colorScheme: 'dark' }, async page => {
  await type(page, 'SELECT database, count() AS n FROM system.tables GROUP BY database ORDER BY n DESC');
  await page.waitForSelector('table.rows td');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide <= 392, 'nothing is wider than the phone, got ' + wide);
  await accessible(page);
});

await test('the demo page', '/demo', {}, async page => {
  expect((await page.title()).includes('Pumphouse'), 'a title');
});

await browser.close();
console.log(failures ? `${failures} failed` : 'all pages work');
process.exit(failures ? 1 : 0);
