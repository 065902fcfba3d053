// Loaded by Temporal's SDK itself, by `require` on clients and workers and by the bundler for workflows: so it is no TypeScript.
const { DefaultFailureConverter } = require("@temporalio/common");

/** Messages and stack traces leave as an encoded payload, which the codec seals; else they would stand in histories as they are. */
exports.failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
