/** Everything that decides what is served -> snapshots in the cache. */
export { ControlPlane } from "./control-plane.ts";
export { modelFaults } from "./judgement.ts";
export type { ControlPlaneOptions, ControlPlaneTimes } from "./options.ts";
export type { DocumentOverlay, EndpointOverlay, StoredDocument, WeightOverlay } from "./overlays.ts";
export type { RollbackResult } from "./publication.ts";
export type { CheckResult, DiffResult, GroupStatus, LoadOutcome, ServedDocument } from "./reports.ts";
export type { SnapshotDiff, TypeDiff } from "./snapshot-diff.ts";
export { snapshotView } from "./snapshot-view.ts";
export type { Proposed } from "./sources.ts";
