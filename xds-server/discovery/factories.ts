/** Which kind of source a DiscoverySource asks for. */
import type { DiscoverySourceSpec } from "../config/discovery-model.ts";
import type { SourceFactory } from "./context.ts";
import { DiscoveryError } from "./errors.ts";

export type SourceKind = "file" | "dns" | "kubernetes" | "consul" | "eureka" | "registry";

const KINDS: readonly SourceKind[] = ["file", "dns", "kubernetes", "consul", "eureka", "registry"];

/** The kind that a specification names. @throws Error for one that names none, which the configuration refuses */
export function kindOf(spec: DiscoverySourceSpec): SourceKind {
  const kind = KINDS.find((each) => spec[each] !== undefined);
  if (kind === undefined) throw new Error("the specification names no kind of source");
  return kind;
}

/** One factory of all kinds. */
export function sourceFactory(factories: Partial<Readonly<Record<SourceKind, SourceFactory>>>): SourceFactory {
  return (spec, context) => {
    const kind = kindOf(spec);
    const factory = factories[kind];
    if (factory === undefined) throw new DiscoveryError("TM_DISCOVERY_FAILED", `this server has no ${kind} discovery`);
    return factory(spec, context);
  };
}
