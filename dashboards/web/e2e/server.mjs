// The real binary with the simulated company, on a folder and a port of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const target = process.env['CARGO_TARGET_DIR'] ?? join(cache, 'guanlan/target');
const binary = process.env['GUANLAN_BIN'] ?? join(target, 'debug/guanlan');
const READY_MS = 240_000;

/** Starts `guanlan demo`; resolves to its address and logins once it serves. */
export async function start() {
  const folder = mkdtempSync(join(tmpdir(), 'guanlan-e2e-'));
  const child = spawn(binary, ['demo', join(folder, 'demo'), '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (text) => (log = (log + text).slice(-20_000)));
  const hello = await introduction(child, () => log);
  const password = Object.fromEntries(hello.logins.map((login) => [login.user, login.password]));
  return {
    address: hello.address,
    password: (user) => password[user],
    project: join(folder, 'demo/project'),
    log: () => log,
    async stop() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      const code = await ended;
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}

/** The first JSON document on standard output; the rest is read and dropped so that the pipe never fills. */
function introduction(child, log) {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`not ready after ${READY_MS} ms\n${log()}`)), READY_MS);
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it served\n${text}${log()}`)));
    child.once('error', reject);
    child.stdout.on('data', (piece) => {
      if (text === null) return;
      text += piece;
      try {
        const hello = JSON.parse(text);
        text = null;
        clearTimeout(timer);
        resolve(hello);
      } catch {
        // Not whole yet.
      }
    });
  });
}
