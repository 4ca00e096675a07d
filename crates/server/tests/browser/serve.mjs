// What only `gannet serve` can do: TLS, origins and subprotocols of a route, limits that close, restarts.
// Invariant: every server here runs on settings written in this file and on ports that the kernel chose.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { checks } from '../interop/session.mjs';
import { byThePage, byTheServer, drained, fromAnotherOrigin } from './endings.mjs';
import { Gannet, Tab } from './harness.mjs';
import { everySize, extensions, subprotocol } from './messages.mjs';
import { conversation } from './page.mjs';

const REFUSED = 'closed 1006, clean false';

const MAIN = `
[[listen]]
address = "127.0.0.1:0"
[[listen]]
address = "127.0.0.1:0"
tls = true
[[certificate]]
certificate = "certificate.pem"
key = "key.pem"
[admin]
listen = "off"
[compression]
mode = "dedicated"
[[route]]
path = "/"
app = "page"
[[route]]
path = "/echo"
app = "echo"
[[route]]
path = "/elsewhere"
app = "echo"
[[route]]
path = "/any"
app = "echo"
origins = "any"
[[route]]
path = "/chat"
app = "echo"
subprotocols = ["superchat", "chat"]
[[route]]
path = "/required"
app = "echo"
subprotocols = ["chat"]
subprotocol_required = true
`;

const STRICT = `
[[listen]]
address = "127.0.0.1:0"
[admin]
listen = "off"
[limits]
messages_per_s_max = 5
rate_policy = "close"
[drain]
restart = true
[[route]]
path = "/"
app = "page"
[[route]]
path = "/echo"
app = "echo"
`;

/** Runs every test of this file. */
export async function served(browser, program) {
  const directory = await mkdtemp(join(tmpdir(), 'gannet-browser-'));
  try {
    await certificate(directory);
    await main(browser, await start(program, directory, 'main.toml', MAIN));
    await strict(browser, await start(program, directory, 'strict.toml', STRICT));
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function start(program, directory, name, settings) {
  const path = join(directory, name);
  await writeFile(path, settings);
  return Gannet.start(program, ['serve', '--config', path]);
}

/** A certificate that signs itself, for the address that the tests use. */
async function certificate(directory) {
  await promisify(execFile)('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=gannet.test', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', join(directory, 'key.pem'), '-out', join(directory, 'certificate.pem'),
  ]);
}

async function main(browser, server) {
  await conversation(browser, server, { scheme: 'wss', extension: true });
  await everySize(browser, server, 'wss');
  await byThePage(browser, server, 'wss');
  await extensions(browser, server, 'permessage-deflate');

  await fromAnotherOrigin(browser, server, '/echo', REFUSED);
  await fromAnotherOrigin(browser, server, '/any', 'open');

  await subprotocol(browser, server, '/chat', ['chat', 'superchat'], 'superchat');
  await subprotocol(browser, server, '/chat', ['other', 'chat'], 'chat');
  await subprotocol(browser, server, '/chat', [], '');
  await subprotocol(browser, server, '/chat', ['other'], undefined);
  await subprotocol(browser, server, '/required', ['chat'], 'chat');
  await subprotocol(browser, server, '/required', ['other'], undefined);
  await shownSubprotocol(browser, server);
  checks.equal('exit code after SIGTERM', await server.stop(), 0);
}

/** What was agreed on appears in the page. */
async function shownSubprotocol(browser, server) {
  const tab = await Tab.open(browser, server.page());
  await tab.page.fill('#url', '/chat');
  await tab.page.fill('#subprotocols', 'chat, superchat');
  await tab.page.press('#subprotocols', 'Enter');
  await tab.shows('protocol', 'superchat');
  await tab.close();
}

async function strict(browser, server) {
  await byTheServer(browser, server, { text: 'one of many', times: 20 }, { code: 1008 });
  let code;
  await drained(browser, server, async () => { code = await server.stop(); }, 1012);
  checks.equal('exit code after SIGTERM', code, 0);
}
