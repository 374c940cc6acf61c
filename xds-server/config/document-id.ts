/** What tells documents apart. */
import type { Metadata } from "./model.ts";

/** `KIND/namespace/name` */
export function documentId(kind: string, { namespace, name }: Pick<Metadata, "namespace" | "name">): string {
  return `${kind}/${namespace}/${name}`;
}
