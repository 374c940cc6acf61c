/** What the drivers of all filters look at on the test host. */
import type { ProxyWasmHost } from "../host/index.ts";

/** Statistics that are not 0, by what stands behind `prefix` and one character in their names; those of the last tick are in them. */
export function countersOf(host: ProxyWasmHost, prefix: string): Record<string, number> {
  host.advance(1_000);
  const entries = host.metrics.names().flatMap((full): [string, number][] => {
    const value = full.startsWith(prefix) ? (host.metrics.get(full) ?? 0) : 0;
    return value === 0 ? [] : [[full.slice(prefix.length + 1), value]];
  });
  return Object.fromEntries(entries);
}

/** The module trapped, which ends every stream of its worker. */
export function hasTrapped(host: ProxyWasmHost): boolean {
  return host.logs.some(({ level, message }) => level === "critical" || message.startsWith("abort:"));
}
