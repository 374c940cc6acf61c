/**
 * Runs real Envoys, any number side by side, for tests, benches and `npm start`: a process over func-e, its admin client, its log, and the building
 * blocks of its bootstrap.
 */
export { AdminClient, type EnvoyMemory } from "./admin-client.ts";
export {
  type AdsBootstrap,
  adsBootstrap,
  type ClusterSpec,
  cluster,
  httpListener,
  type ListenerSpec,
  nextMemberOnRetry,
  type PoolSpec,
  pool,
  type RouteSpec,
  type StaticBootstrap,
  socketAddress,
  staticBootstrap,
  type Target,
} from "./bootstrap.ts";
export { type EnvoyOptions, EnvoyProcess } from "./envoy-process.ts";
export { EnvoyError, type EnvoyErrorCode } from "./errors.ts";
export type { Json, JsonObject } from "./json.ts";
export type { Exit } from "./launch.ts";
export { LogCapture } from "./log-capture.ts";
export { formatLogEntry, type LogEntry, type LogLevel } from "./log-line.ts";
export { envoyBinary, projectRoot, pythonClients } from "./tools.ts";
export { defaultVersion, newestVersion, oldestVersion, supportedVersions, versionsUnderTest } from "./versions.ts";
export { type WaitOptions, waitFor } from "./wait-for.ts";
export { type WasmFilterSpec, wasmFilter } from "./wasm-filter.ts";
