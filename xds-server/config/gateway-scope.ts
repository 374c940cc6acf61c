/** Which Gateways a document is about. */
import type { Gateway, Metadata } from "./model.ts";

/** `namespace/name` */
export function fullName({ namespace, name }: Metadata): string {
  return `${namespace}/${name}`;
}

/** The Gateway that a document of this namespace calls `[namespace/]name`. */
export function gatewayId(name: string, namespace: string): string {
  return name.includes("/") ? name : `${namespace}/${name}`;
}

/** Whether a document applies to a Gateway: one that it names, or without `names` any of its namespace. */
export function appliesTo(
  { namespace }: Metadata,
  names: readonly string[] | undefined,
  { metadata }: Pick<Gateway, "metadata">,
): boolean {
  if (names === undefined) return metadata.namespace === namespace;
  return names.some((name) => gatewayId(name, namespace) === fullName(metadata));
}
