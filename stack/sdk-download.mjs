// Lets Temporal's SDK download its development server into the folder named by the first argument. A process of its
// own, because the SDK offers no time limit: this one can be ended.
import { TestWorkflowEnvironment } from "@temporalio/testing";

const executable = { type: "cached-download", downloadDir: process.argv[2], ttl: "3650 days" };
const environment = await TestWorkflowEnvironment.createLocal({ server: { executable } });
await environment.teardown();
