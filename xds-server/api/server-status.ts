/** `GET /api/v1/status`: the state of the server on one page. */
import { configDetails, type ErrorDetail } from "./api-error.ts";
import type { ApiPorts, EarlierRejectionView, NodeView } from "./ports.ts";

/** @param version of the program */
export function serverStatus(ports: ApiPorts, version: string): Readonly<Record<string, unknown>> {
  const { control } = ports;
  const nodes = ports.nodes();
  return {
    ready: control.loadedAt() !== undefined,
    version,
    loadedAt: isoTime(control.loadedAt()),
    groups: control.groups(),
    nodes: {
      connected: nodes.length,
      synced: nodes.filter(({ settled }) => settled).length,
      nacked: nodes.filter((node) => nacksOf(node).length > 0).length,
    },
    nacks: [...nodes.flatMap(nacksOf), ...ports.earlierRejections().map(earlierNack)],
    configErrors: configDetails(control.errors()),
    configWarnings: configDetails(control.warnings()),
    ...ports.status(),
  };
}

/** @param time milliseconds since the epoch */
export function isoTime(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

function earlierNack({ node, type, message, resources, awaySince }: EarlierRejectionView): ErrorDetail {
  const away = awaySince === undefined ? {} : { awaySince };
  return { node, message: `${type}: ${message}`, resources, earlier: true, ...away };
}

function nacksOf({ id, types }: NodeView): readonly ErrorDetail[] {
  return Object.entries(types).flatMap(([type, { nack }]) =>
    nack === undefined ? [] : [{ node: id, message: `${type}: ${nack.message}`, resources: nack.resources }],
  );
}
