// How the page looks: pictures for people, and what a machine can tell of contrast and width.
// Invariant: each picture is of a state that was waited for.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { checks, incompressible } from '../interop/session.mjs';
import { Tab } from './harness.mjs';
import { draw } from './page.mjs';

// WCAG 2.2, 1.4.3: the least contrast of text.
const CONTRAST_MIN = 4.5;
const NARROW = { width: 400, height: 860 };
const NARROWEST = { width: 360, height: 740 };
const SAMPLES = 5;

/** Takes the page through its states, and a picture of each. */
export async function pictures(browser, server, directory) {
  await mkdir(directory, { recursive: true });
  const tab = await Tab.open(browser, server.page(), { colorScheme: 'light' });
  const picture = async (name) => {
    checks.current = `picture ${name}`;
    await tab.page.evaluate(() => scrollTo(0, 0));
    await tab.page.screenshot({ path: join(directory, `${name}.png`), fullPage: true, animations: 'disabled' });
  };
  await readable(tab, 'idle, light');
  await picture('idle-light');
  await fill(tab);
  await readable(tab, 'open, light');
  await picture('open-light');
  await tab.page.emulateMedia({ colorScheme: 'dark' });
  await readable(tab, 'open, dark');
  await picture('open-dark');
  await tab.page.setViewportSize(NARROW);
  await picture('narrow-dark');
  await tab.page.emulateMedia({ colorScheme: 'light' });
  await picture('narrow-light');
  await tab.page.setViewportSize(NARROWEST);
  const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
  checks.equal(`width of the page on ${NARROWEST.width} pixels`, width, NARROWEST.width);
  await tab.page.setViewportSize({ width: 1280, height: 860 });
  await tab.page.fill('#many-count', '120');
  await tab.page.click('#many-open');
  await tab.shows('many-status', '120 open, 0 connecting, 0 failed');
  await picture('many-connections');
  await tab.page.emulateMedia({ colorScheme: 'dark' });
  await tab.page.keyboard.press('Escape');
  await tab.shows('state-text', 'closed');
  await readable(tab, 'closed, dark');
  await picture('closed-dark');
  await tab.close();
}

async function fill(tab) {
  const { page } = tab;
  await page.click('#connect');
  await tab.shows('state-text', 'open');
  await page.check('#rtt');
  for (const text of ['Hello, Gannet', '<b>markup</b> stays text: naïve, €']) {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  }
  await tab.shows('received', /^2 messages/);
  await draw(tab);
  await page.click('#send-drawing');
  await page.locator('#log img').waitFor();
  await page.setInputFiles('#file', { name: 'a.bin', mimeType: 'application/octet-stream', buffer: incompressible(1 << 20) });
  await tab.shows('received', /^4 messages/);
  await page.waitForFunction((count) => new RegExp(`last ${count}:`).test(document.getElementById('plot').ariaLabel), SAMPLES);
}

/** Every text of the page has enough contrast to what lies behind it. */
async function readable(tab, state) {
  const poor = await tab.page.evaluate(poorContrast, CONTRAST_MIN);
  checks.equal(`texts without contrast, ${state}`, poor.join('\n'), '');
}

/** Runs in the page: texts with a contrast below `least`, by the formula of WCAG 2.2. */
function poorContrast(least) {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = parts(colour).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const isClear = (colour) => parts(colour)[3] === 0;
  const behind = (element) => {
    const { backgroundColor } = getComputedStyle(element);
    return isClear(backgroundColor) && element.parentElement ? behind(element.parentElement) : backgroundColor;
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const isField = (element) => element.matches('input, textarea');
  return [...document.body.querySelectorAll('*')]
    .filter((element) => element.checkVisibility() && (hasText(element) || isField(element)))
    .map((element) => {
      const [low, high] = [getComputedStyle(element).color, behind(element)].map(luminance).toSorted((a, b) => a - b);
      return { element, contrast: (high + 0.05) / (low + 0.05) };
    })
    .filter(({ contrast }) => contrast < least)
    .map(({ element, contrast }) => `${element.tagName} ${element.id || element.textContent.slice(0, 30)}: ${contrast.toFixed(2)}`);
}
