/** `key` of a rule of a TokenRateLimit: by what requests have budgets of their own. */
import { fail } from "../cursor.ts";
import type { KeyPart, MetadataPath } from "../rate-limit-model.ts";
import { exactlyOne, list, object, optional, positionOf, type Reader, required } from "../reader.ts";
import { text } from "../scalars.ts";
import { type Declared, given, needsTenant, requestHeader } from "./llm-names.ts";

const name = text({ max: 256 });

export const metadataPath = object<MetadataPath>({
  namespace: required(name),
  path: required(list(name, { min: 1, max: 8 })),
});

function part(declared: Declared): Reader<KeyPart> {
  const read = exactlyOne(
    object<KeyPart>({
      header: optional(requestHeader),
      apiKey: optional(given),
      claim: optional(name),
      payloadKey: optional(name),
      metadata: optional(metadataPath),
      clientAddress: optional(given),
      model: optional(given),
      tenant: optional(needsTenant(declared, given, () => true)),
      session: optional(given),
      constant: optional(name),
    }),
    "header",
    "apiKey",
    "claim",
    "metadata",
    "clientAddress",
    "model",
    "tenant",
    "session",
    "constant",
  );
  return (cursor) => {
    const value = read(cursor);
    if (value === undefined || value.payloadKey === undefined || value.claim !== undefined) return value;
    const at = { ...cursor, position: positionOf(value, "payloadKey") };
    return fail(at, "TM_CONFIG_CONFLICT", "has payloadKey without claim", "Remove payloadKey, or name the claim.");
  };
}

export function key(declared: Declared): Reader<readonly KeyPart[]> {
  return list(part(declared), { max: 4 });
}
