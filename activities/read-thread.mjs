// A thread does not inherit what reads TypeScript in the main one.
import { register } from "tsx/esm/api";

register();
await import("./read-thread.ts");
