// Installs the dependencies when they are missing or differ from package-lock.json. Runs before anything is installed,
// so it is plain JavaScript and needs nothing but Node and npm.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const OLDEST_NODE = [20, 19];

/** Longest wait for an installation by another process, in milliseconds. */
const PATIENCE = 600_000;

/**
 * Whether every package of package-lock.json is there in its version. npm writes node_modules/.package-lock.json last,
 * so an installation that was cut short has none. Optional packages may be for other platforms.
 */
export function isInstalled(checkout) {
  const wanted = readJson(join(checkout, "package-lock.json"))?.packages ?? {};
  const present = readJson(join(checkout, "node_modules", ".package-lock.json"))?.packages;
  if (!present) return false;
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "" || (optional && !present[path])) return true;
    const found = present[path];
    return found?.version === version && found.integrity === integrity && existsSync(join(checkout, path));
  });
}

/** Exits with 2 when Node is too old and with 1 when the installation fails. */
export function install(checkout) {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    fail(2, `Node ${process.versions.node} is too old; install ${OLDEST_NODE.join(".")} or later.`);
  }
  if (isInstalled(checkout)) return;
  const lock = takeLock(checkout);
  let failure = "";
  try {
    if (isInstalled(checkout)) return;
    process.stderr.write("Installing the dependencies (npm ci) …\n");
    const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
    // npm tells its scripts where it is itself, which may not be on the PATH.
    const npm = process.env.npm_execpath;
    const [command, first] = npm?.endsWith("npm-cli.js") ? [process.execPath, [npm]] : ["npm", []];
    const { status, error } = spawnSync(command, [...first, ...args], {
      cwd: checkout,
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (error || status !== 0)
      failure = `npm ci failed (${error?.code ?? `exit code ${status}`}); see what it says above.`;
  } finally {
    rmSync(lock, { force: true });
  }
  if (failure) fail(1, failure);
}

/** One installation at a time: a file beside other temporary ones, since npm ci removes node_modules. */
function takeLock(checkout) {
  const name = createHash("sha256").update(checkout).digest("hex").slice(0, 16);
  const lock = join(tmpdir(), `miette-install-${process.getuid?.() ?? 0}-${name}.lock`);
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return lock;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(readText(lock));
    if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true });
    if (Date.now() > deadline) fail(1, `another installation holds ${lock}; remove it when there is none.`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readJson(path) {
  const text = readText(path);
  return text ? JSON.parse(text) : null;
}

function fail(code, message) {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  install(dirname(dirname(fileURLToPath(import.meta.url))));
}
