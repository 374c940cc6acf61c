/** Every function the host exports, by "env.<name>" or "wasi.<name>" (both WASI modules share an implementation). */
import { bufferCalls } from "./buffers.ts";
import { calloutCalls } from "./callouts.ts";
import { headerCalls } from "./headers.ts";
import type { Hostcall } from "./hostcall.ts";
import { metricCalls } from "./metrics.ts";
import { propertyCalls } from "./properties.ts";
import { sharedCalls } from "./shared.ts";
import { streamCalls } from "./stream.ts";
import { systemCalls } from "./system.ts";
import { wasiCalls } from "./wasi.ts";

const env = {
  ...systemCalls,
  ...bufferCalls,
  ...headerCalls,
  ...streamCalls,
  ...sharedCalls,
  ...metricCalls,
  ...propertyCalls,
  ...calloutCalls,
};

export const hostcalls: ReadonlyMap<string, Hostcall> = new Map([
  ...Object.entries(env).map(([name, run]) => [`env.${name}`, run] as const),
  ...Object.entries(wasiCalls).map(([name, run]) => [`wasi.${name}`, run] as const),
]);
