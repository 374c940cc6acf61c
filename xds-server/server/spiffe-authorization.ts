/** Which node groups a client may be served, by the SPIFFE id of its certificate. */
import { ServerError } from "../errors.ts";
import type { Authorize } from "./stream-context.ts";

export interface SpiffeRule {
  /** A SPIFFE id; with `/*` at the end all ids below it. */
  readonly id: string;
  /** Names of node groups; `*` is every group. */
  readonly groups: readonly string[];
}

/** Reads `spiffe://domain/path=group,group`, as on the command line. @throws ServerError TM_USAGE */
export function parseSpiffeRule(text: string): SpiffeRule {
  const cut = text.lastIndexOf("=");
  const id = text.slice(0, Math.max(0, cut));
  const groups = text
    .slice(cut + 1)
    .split(",")
    .map((group) => group.trim());
  if (!/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*(\/\*)?$/.test(id) || groups.includes("")) {
    throw new ServerError("TM_USAGE", `not SPIFFE_ID=GROUP[,GROUP]: ${text}`);
  }
  return { id, groups };
}

/** A client may have the groups of every rule that its id matches; one without id has none. */
export function spiffeAuthorization(rules: readonly SpiffeRule[]): Authorize {
  return ({ spiffeId }, _node, group) => {
    if (spiffeId === undefined) return "a client certificate with a SPIFFE id is required";
    const may = rules.some(
      ({ id, groups }) => matches(id, spiffeId) && (groups.includes(group) || groups.includes("*")),
    );
    return may ? undefined : `${spiffeId} may not be served node group ${group}`;
  };
}

function matches(pattern: string, id: string): boolean {
  return pattern.endsWith("/*") ? id.startsWith(pattern.slice(0, -1)) : id === pattern;
}
