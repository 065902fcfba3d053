import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { bundleWorkflowCode } from "@temporalio/worker";
import { PACKAGE_DIRECTORY } from "./config.ts";
import { tracedBundle, TRACING_MODULES } from "./telemetry/tracing.ts";
import { FAILURE_CONVERTER_PATH } from "./warehouse/data-converter.ts";

/**
 * `npm run bundle [-- FILE]`: bundles the workflows into `dist/workflows.js`, or FILE, and beside it into the bundle of
 * workers that trace. A worker that finds the file's path in `MIETTE_WORKFLOW_BUNDLE` needs no webpack and no sources of
 * workflows, and is ready 0.6 s earlier. Made and used by one and the same version of the SDK.
 */
const file = resolve(process.argv[2] ?? join(PACKAGE_DIRECTORY, "dist", "workflows.js"));
await mkdir(dirname(file), { recursive: true });
await write(file, []);
await write(tracedBundle(file), TRACING_MODULES);

async function write(path: string, workflowInterceptorModules: string[]): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: join(PACKAGE_DIRECTORY, "workflows", "index.ts"),
    failureConverterPath: FAILURE_CONVERTER_PATH,
    workflowInterceptorModules,
  });
  // In one go, so that a worker that starts meanwhile reads the old bundle or the new one.
  await writeFile(`${path}.new`, code);
  await rename(`${path}.new`, path);
}
