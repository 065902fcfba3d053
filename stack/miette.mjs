#!/usr/bin/env node
// What `npx miette` runs: the command line, whose TypeScript is loaded without a build step.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { install } from "./install.mjs";

install(dirname(dirname(fileURLToPath(import.meta.url))));
const { register } = await import("tsx/esm/api");
register();
await import("../cli.ts");
