/** The workflows, as the worker bundles them. */
export { acceptField } from "./accept-field.ts";
export { applyChoice } from "./apply-choice.ts";
export { applyIdentity } from "./apply-identity.ts";
export { buildModels } from "./build-models.ts";
export { correctSubject } from "./correct-subject.ts";
export { eraseBatch } from "./erase-batch.ts";
export { eraseSubject } from "./erase-subject.ts";
export { expireArchive } from "./expire-archive.ts";
export { grantAccess } from "./grant-access.ts";
export { readmitSubject } from "./readmit-subject.ts";
export { recheckErasure } from "./recheck-erasure.ts";
export { checkHealth } from "./check-health.ts";
export { releaseCorrection } from "./release-correction.ts";
export { rotateKeys } from "./rotate-keys.ts";
export { runPipeline } from "./run-pipeline.ts";
export { syncSource } from "./sync-source.ts";
