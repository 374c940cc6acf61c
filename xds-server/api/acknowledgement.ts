/** Whether every connected Envoy accepted a change. Pure: two looks at the Envoys in, a verdict out. */
import type { ErrorDetail } from "./api-error.ts";
import type { GroupView, NodeView } from "./ports.ts";

/** What is remembered of the moment before a change. */
export interface Before {
  /** Rejections that were there already, by stream, type and time. */
  readonly nacks: ReadonlySet<string>;
  /** Version by group and type. */
  readonly versions: ReadonlyMap<string, string>;
}

export type Verdict =
  | { readonly outcome: "acked"; readonly nodes: number }
  | { readonly outcome: "pending"; readonly waitingFor: readonly ErrorDetail[] }
  | { readonly outcome: "nacked"; readonly nacks: readonly ErrorDetail[] };

export function before(nodes: readonly NodeView[], groups: readonly GroupView[]): Before {
  const nacks = new Set<string>();
  for (const node of nodes) {
    for (const [type, { nack }] of Object.entries(node.types)) if (nack) nacks.add(nackKey(node, type, nack));
  }
  return { nacks, versions: versionsOf(groups) };
}

/**
 * A rejection counts when it is new. One from before the change counts neither way as long as the type did not change: that Envoy has nothing to say about it.
 */
export function verdict(nodes: readonly NodeView[], groups: readonly GroupView[], known: Before): Verdict {
  const versions = versionsOf(groups);
  const nacks: ErrorDetail[] = [];
  const waitingFor: ErrorDetail[] = [];
  for (const node of nodes) {
    if (node.settled) continue;
    const open = Object.entries(node.types).filter(([type, { state, nack }]) => {
      if (nack === undefined) return state !== "synced";
      if (!known.nacks.has(nackKey(node, type, nack))) {
        nacks.push({ node: node.id, message: `${type}: ${nack.message}`, resources: nack.resources });
        return false;
      }
      const key = `${node.group}\0${type}`;
      return versions.get(key) !== known.versions.get(key);
    });
    const unmoved = open.length === 0 && Object.values(node.types).some(({ nack }) => nack !== undefined);
    if (unmoved) continue;
    const message = open.map(([type, { state }]) => `${type}: ${state}`).join(", ");
    waitingFor.push({ node: node.id, message: message === "" ? "a response is due" : message });
  }
  if (nacks.length > 0) return { outcome: "nacked", nacks };
  return waitingFor.length > 0 ? { outcome: "pending", waitingFor } : { outcome: "acked", nodes: nodes.length };
}

function versionsOf(groups: readonly GroupView[]): ReadonlyMap<string, string> {
  const entries = groups.flatMap(({ group, types }) =>
    Object.entries(types).map(([type, { version }]) => [`${group}\0${type}`, version] as const),
  );
  return new Map(entries);
}

function nackKey(node: NodeView, type: string, { version, at }: { version: string; at: string }): string {
  return [node.id, node.peer, node.connectedSince, type, version, at].join("\0");
}
