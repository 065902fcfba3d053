import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { bundleWorkflowCode } from "@temporalio/worker";
import { PACKAGE_DIRECTORY } from "./config.ts";
import { TRACING_MODULES } from "./telemetry/tracing.ts";
import { FAILURE_CONVERTER_PATH } from "./warehouse/data-converter.ts";

/**
 * `npm run bundle [-- FILE]`: bundles the workflows into `dist/workflows.js`, or FILE. A worker that finds the file's
 * path in `MIETTE_WORKFLOW_BUNDLE` needs no webpack and no sources of workflows, and is ready 0.6 s earlier. Made and
 * used by one and the same version of the SDK.
 */
const file = resolve(process.argv[2] ?? join(PACKAGE_DIRECTORY, "dist", "workflows.js"));
const { code } = await bundleWorkflowCode({
  workflowsPath: join(PACKAGE_DIRECTORY, "workflows", "index.ts"),
  failureConverterPath: FAILURE_CONVERTER_PATH,
  workflowInterceptorModules: TRACING_MODULES,
});
await mkdir(dirname(file), { recursive: true });
// In one go, so that a worker that starts meanwhile reads the old bundle or the new one.
await writeFile(`${file}.new`, code);
await rename(`${file}.new`, file);
