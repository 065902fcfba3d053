// Loaded into the worker before it starts: takes CPU profiles of it when the bench asks. Plain JavaScript, since Node
// loads it into the SDK's threads too, where no TypeScript is understood.
import { writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const session = new Session();
  session.connect();
  process.on("message", (message) => {
    if (message?.profile) void obey(session, message);
  });
}

/**
 * @param {Session} session
 * @param {{ profile: "start" | "stop", file?: string }} order
 */
async function obey(session, { profile, file }) {
  if (profile === "start") {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 1_000 });
    await session.post("Profiler.start");
  } else {
    const { profile: taken } = await session.post("Profiler.stop");
    await writeFile(file, JSON.stringify(taken));
  }
  process.send("profiler done");
}
