import { spawn, type StdioOptions } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CodedError, UserError } from "../domain/errors.ts";
import { ownEnvironment } from "./environment.ts";
import { openLog } from "./logs.ts";
import {
  type Need,
  onMessage,
  OTHER_VERSION,
  PROTOCOL,
  type Ready,
  type Reply,
  send,
  type StackStatus,
  unpackError,
} from "./messages.ts";
import { describeExit, type Exit, exitOf } from "./process.ts";
import { closeOf, connectTo, PROCESSES, runFolder, socketPath } from "./run-folder.ts";

const SUPERVISOR = fileURLToPath(new URL("supervisor.ts", import.meta.url));

/** A command's lease on the servers of a home. */
export interface Link {
  /** Has it running, and keeps it while the link lasts. Throws what its start threw. */
  need(need: Need): Promise<Ready>;
  /** Everything needed so far stays when this command has gone, until {@link stopSupervisor}. */
  detach(): Promise<void>;
  /** Gives the lease back; resolves when what nobody else uses has ended. */
  leave(): Promise<void>;
  /** Resolves when somebody else stopped the servers on purpose. */
  ended: Promise<void>;
}

interface Wanted {
  need: Need;
  resolve(ready: Ready): void;
  reject(error: Error): void;
}

/**
 * Connects to the supervisor of a home, starting it if need be. When it is killed, it is started again and asked for
 * the same. The link keeps this process alive until {@link Link.leave}.
 *
 * @param say called with one sentence per event: a download, a restart
 * @throws UserError when the supervisor is another version's
 */
export async function openLink(home: string, say: (line: string) => void): Promise<Link> {
  const wanted = new Map<number, Wanted>();
  let lastId = 0;
  let isLeased = false;
  let isDetaching = false;
  let isOver = false;
  let socket: Socket;
  let closed: Promise<void>;
  let tellLeased = (_protocol: number | undefined): void => undefined;
  let tellEnded = (): void => undefined;
  const ended = new Promise<void>((resolve) => (tellEnded = resolve));
  let tellDetached = (): void => undefined;

  const receive = (reply: Reply): void => {
    if (reply.type === "line") say(reply.line);
    if (reply.type === "detached") tellDetached();
    if (reply.type === "leased") tellLeased(reply.protocol);
    if (reply.type === "ready") wanted.get(reply.id)?.resolve(reply.ready);
    if (reply.type === "failed") {
      wanted.get(reply.id)?.reject(unpackError(reply.error));
      wanted.delete(reply.id);
    }
    if (reply.type === "stopping" && isLeased && !isOver) end("the servers were stopped by another command.");
  };
  const end = (reason: string): void => {
    isOver = true;
    const error = new CodedError("stack_stopped", reason, { retryable: false });
    for (const { reject } of wanted.values()) reject(error);
    tellEnded();
  };
  const attach = async (): Promise<void> => {
    // A supervisor that is ending for others gives no lease; the one after it does.
    isLeased = false;
    while (!isLeased) {
      socket = await connectOrStart(home);
      closed = closeOf(socket);
      let protocol: number | undefined;
      const leased = new Promise<void>((resolve) => {
        tellLeased = (theirs) => {
          protocol = theirs;
          isLeased = true;
          resolve();
        };
      });
      onMessage<Reply>(socket, receive);
      send(socket, { type: "lease", protocol: PROTOCOL });
      await Promise.race([leased, closed]);
      if (isLeased && protocol !== PROTOCOL) {
        isOver = true;
        socket.destroy();
        throw new UserError(OTHER_VERSION);
      }
    }
    // The command left while there was no supervisor.
    if (isOver) return void socket!.destroy();
    for (const [id, { need }] of wanted) send(socket, { type: "need", id, need });
    if (isDetaching) send(socket, { type: "detach" });
    void closed.then(async () => {
      if (isOver) return;
      say("The supervisor of the servers ended unexpectedly; it is started again.");
      await attach().catch((error: Error) => end(error.message));
    });
  };
  await attach();

  return {
    need(need) {
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        wanted.set(id, { need, resolve, reject });
        send(socket, { type: "need", id, need });
      });
    },
    async detach() {
      isDetaching = true;
      const detached = new Promise<void>((resolve) => (tellDetached = resolve));
      send(socket, { type: "detach" });
      await detached;
    },
    async leave() {
      isOver = true;
      send(socket, { type: "leave" });
      await closed;
    },
    ended,
  };
}

/** What runs in a home; null when nothing does. */
export async function askStatus(home: string): Promise<StackStatus | null> {
  const socket = await connectTo(await socketPath(home));
  if (!socket) return null;
  const status = new Promise<StackStatus | null>((resolve) => {
    onMessage<Reply>(socket, (reply) => reply.type === "status" && resolve(reply.status));
    void closeOf(socket).then(() => resolve(null));
  });
  send(socket, { type: "status" });
  return await status.finally(() => socket.destroy());
}

/** Ends a home's servers whoever uses them; false when none ran. What a killed supervisor left is ended too. */
export async function stopSupervisor(home: string): Promise<boolean> {
  const isLeftOver = (await readFile(join(await runFolder(home), PROCESSES), "utf8").catch(() => "[]")) !== "[]";
  let socket = await connectTo(await socketPath(home));
  if (!socket && !isLeftOver) return false;
  socket ??= await connectOrStart(home);
  const closed = closeOf(socket.resume());
  send(socket, { type: "stop" });
  await closed;
  return true;
}

async function connectOrStart(home: string): Promise<Socket> {
  await runFolder(home);
  const path = await socketPath(home);
  for (;;) {
    const present = await connectTo(path);
    if (present) return present;
    const log = await openLog(join(home, "logs"), "supervisor.log");
    const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
    const stdio: StdioOptions = ["ignore", log.fd, log.fd];
    const args = ["--import", loader, SUPERVISOR, home];
    const child = spawn(process.execPath, args, { cwd: "/", detached: true, env: ownEnvironment(), stdio });
    child.unref();
    let exit: Exit | null = null;
    void exitOf(child).then((how) => (exit = how));
    await log.close();
    while (exit === null) {
      const socket = await connectTo(path);
      if (socket) return socket;
      await sleep(20);
    }
    // It ends with 0 when another command's supervisor was faster.
    const { code } = exit as Exit;
    if (code !== 0) {
      const message = `the servers' supervisor ended with ${describeExit(exit)}; its log ${log.path} tells why.`;
      throw new CodedError("internal", message, { retryable: false });
    }
  }
}
