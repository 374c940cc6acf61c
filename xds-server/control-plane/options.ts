/** What a control plane is made of. */
import type { SnapshotCache } from "../cache/index.ts";
import type { Model } from "../config/index.ts";
import type { ServerAddress, WasmDelivery } from "../resources/index.ts";
import type { Clock } from "./clock.ts";
import type { LoadStatusOptions } from "./load-status.ts";
import type { DocumentOverlay, EndpointOverlay, WeightOverlay } from "./overlays.ts";

export interface ControlPlaneOptions extends LoadStatusOptions {
  readonly configDir: string;
  readonly wasmDir: string;
  readonly wasm: WasmDelivery;
  readonly cache: SnapshotCache;
  /** Where Envoys reach this server; undefined when it cannot tell. */
  readonly server?: ServerAddress | undefined;
  readonly endpoints?: EndpointOverlay | undefined;
  readonly weights?: WeightOverlay | undefined;
  readonly documents?: DocumentOverlay | undefined;
  /** Told every model that is served, with the endpoints of discovery in it, and again when endpoints of pools of an EndpointPicker change. */
  readonly onModel?: (model: Model) => void;
  readonly clock?: Clock;
  readonly times?: ControlPlaneTimes;
}

/** Milliseconds; the defaults are those of limits.ts. */
export interface ControlPlaneTimes {
  readonly documentsQuietMs?: number;
  readonly documentsMaxMs?: number;
  readonly endpointsQuietMs?: number;
  readonly endpointsMaxMs?: number;
  readonly firstAnswersMs?: number;
}
